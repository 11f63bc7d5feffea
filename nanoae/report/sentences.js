"use strict";
// Lines of text: tokenized like nanoae's Vocabulary, and decoded token by token; the decoder's input is the previous
// token, the keyword and the code (teacher_forcing.py, text.py).

const NO_WORD = 0, END = 1;

class Sentences {
  /** vocabulary: {words, starts, unit, steps}; steps is the length of an encoded line. */
  constructor(vocabulary, network) {
    Object.assign(this, vocabulary);
    this.network = network;
    this.firstWord = 2 + this.starts.length;
    this.numbers = new Map(this.words.map((word, i) => [word, this.firstWord + i]));
    [this.teacher, this.gru, this.head] = network.layers.slice(network.encoder);
  }

  /** start, word, word, ..., END, 0, 0, ... */
  encode(line, keyword) {
    const clean = line.normalize("NFC").split(/\s+/u).filter(Boolean).join(" ");
    const words = this.unit === "words" ? clean.match(/ ?[\p{L}\p{N}_]+|./gsu) ?? [] : Array.from(clean);
    const row = new Float64Array(this.steps), known = words.map((word) => this.numbers.get(word) ?? NO_WORD);
    const room = this.steps - 2;
    row.set([2 + Math.max(this.starts.indexOf(keyword), 0), ...known.slice(0, room), ...(known.length > room ? [] : [END])]);
    return row;
  }

  code(line, keyword) {
    return this.network.encode(this.encode(line, keyword));
  }

  /** Decode a code to a line; temperature 0 always takes the most probable token. */
  say(code, keyword, temperature = 0, random = Math.random) {
    const start = 2 + Math.max(this.starts.indexOf(keyword), 0), first = wordVector(this.teacher, start);
    let state = new Float64Array(this.gru.n_out), word = start, line = "";
    for (let step = 0; step < this.steps - 1; step++) {
      state = gruStep(joined([wordVector(this.teacher, word), first, code]), state, this.gru.arrays);
      const scores = LAYERS.Linear(this.head.layer, state);
      word = this.choose(scores, temperature, random);
      if (word === END) break;
      line += this.words[word - this.firstWord];
    }
    return line.trim();
  }

  /** Sample a token from softmax(scores / temperature), by the Gumbel-max trick. */
  choose(scores, temperature, random) {
    let best = END, most = -Infinity;
    for (let word = 0; word < scores.length; word++) {
      if (word !== END && word < this.firstWord) continue;
      const noise = temperature ? -Math.log(-Math.log(random() || 1e-12)) : 0;
      const score = scores[word] / (temperature || 1) + noise;
      if (score > most) [best, most] = [word, score];
    }
    return best;
  }
}
