"use strict";
// The explorer: the model's own decoder, and its encoder, at the end of sliders.

const MOST_SLIDERS = 32; // units with a slider each, those that vary most; the others stay where the code has them
const WALK_SECONDS = 3;

class Explorer {
  /** content: what the page says; network: a Network; view: an ImageView, TableView or TextView. */
  constructor(content, network, view) {
    const { points, explorer } = content;
    Object.assign(this, { content, network, view, points, units: explorer.units });
    [this.n, this.K] = points.codes.shape;
    this.home = Float64Array.from(explorer.mean);
    this.prior = explorer.prior;
    this.drawn = 0;
    this.label = 0;
    this.code = this.home.slice();
    this.row = null; // the row that the code came from
    this.sliders = this.units.map((unit) => this.slider(unit));
    this.pad = new Pad(this);
    this.said = element("p", { class: "quiet", "aria-live": "polite" });
    this.element = element("div", { class: view.wide ? "explorer wide" : "explorer" },
      element("div", { class: "stage" }, view.element, this.said, this.buttons(), this.menu()),
      this.pad.element,
      element("div", { class: "knobs" },
        this.K > this.units.length ? element("p", { class: "quiet" }, `The ${this.units.length} of ${this.K} units that vary most; the others stay where they are.`) : "",
        ...this.sliders.map(({ line }) => line)),
      this.starts());
    this.update();
  }

  slider(unit) {
    const [low, high] = this.content.explorer.ranges[unit];
    const input = element("input", { type: "range", min: low, max: high, step: "any", "aria-label": `code unit ${unit + 1}` });
    const number = element("output", {});
    input.addEventListener("input", () => {
      this.code[unit] = Number(input.value);
      this.update();
    });
    const dead = this.content.explorer.dead.includes(unit);
    const line = element("label", { class: dead ? "knob dead" : "knob" }, element("span", { title: dead ? "this unit never changes" : "" }, `${unit + 1}${dead ? " (dead)" : ""}`), input, number);
    return { unit, input, number, line };
  }

  buttons() {
    const button = (text, act, hint) => element("button", { type: "button", onclick: act, title: hint }, text);
    const { of } = this.content.explorer;
    return element("p", { class: "buttons" },
      button(of === "prior" ? "Sample the prior" : "Draw a code", () => {
        const { K } = this, i = this.drawn++ % this.prior.shape[0];
        this.set(this.prior.subarray(i * K, (i + 1) * K));
      }, of === "prior" ? "a code drawn from the model's prior" : "this model has no prior: a code drawn from one Gaussian fitted on the test codes"),
      button("Mean code", () => this.set(this.home), "every unit at its mean"));
  }

  menu() {
    const { labels } = this.content.explorer;
    if (!labels.length) return "";
    const select = element("select", { onchange: () => {
      this.label = Number(select.value);
      this.update();
    } }, ...labels.map((label, i) => element("option", { value: i }, label)));
    this.labelMenu = select;
    return element("p", { class: "controls" }, element("label", {}, this.view.keyword ? "keyword " : "label ", select));
  }

  /** Rows to start from, and the walk between two of them. */
  starts() {
    const some = this.content.explorer.starts;
    this.ends = [some[0], some[Math.min(1, some.length - 1)]];
    this.slots = [element("div", { class: "slot" }), element("div", { class: "slot" })];
    this.t = element("input", { type: "range", min: 0, max: 1, step: "any", value: 0, "aria-label": "the way from one to the other" });
    this.t.addEventListener("input", () => this.walk(Number(this.t.value)));
    this.filling = 1;
    this.fill();
    const play = element("button", { type: "button", onclick: () => this.play() }, "Walk");
    return element("div", { class: "ways" },
      element("h3", {}, "Start from a row, and walk to another"),
      element("div", { class: "strip starts" }, ...some.map((i) => element("button", { type: "button", class: "card", onclick: () => this.start(i) }, this.view.card(this.points, i)))),
      element("p", { class: "quiet" }, "A row that is clicked is where the code starts; the one before it is the other end of the walk."),
      element("div", { class: "walk" }, this.slots[0], this.t, this.slots[1], play));
  }

  fill() {
    this.slots.forEach((slot, k) => slot.replaceChildren(this.view.card(this.points, this.ends[k])));
  }

  start(i) {
    this.ends = [this.ends[1], i];
    this.fill();
    this.t.value = 1;
    if (this.points.labels && this.labelMenu) this.labelMenu.value = this.label = this.content.explorer.labelOf[i];
    this.set(this.codeOf(i), i);
  }

  codeOf(i) {
    return this.points.codes.subarray(i * this.K, (i + 1) * this.K);
  }

  walk(t) {
    const [a, b] = this.ends.map((i) => this.codeOf(i));
    this.t.value = t;
    this.set(Array.from(a, (from, k) => (1 - t) * from + t * b[k]));
  }

  play() {
    const began = performance.now();
    const step = (now) => {
      const t = Math.min(Math.max(now - began, 0) / (1000 * WALK_SECONDS), 1);
      this.walk(t);
      if (t < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  /** Go to a code; `row` is the point that it came from, if it did. */
  set(code, row = null) {
    this.code = Float64Array.from(code);
    this.row = row;
    this.update();
  }

  /** Decode, and show. */
  update() {
    this.output = this.view.decode(this.network, this.code, this.label);
    for (const { unit, input, number } of this.sliders) {
      if (Number(input.value) !== this.code[unit]) input.value = this.code[unit];
      number.textContent = this.code[unit].toFixed(2);
    }
    this.pad.draw();
    this.said.textContent = this.row === null ? "" : `row ${this.points.rows[this.row]}, given back`;
    this.view.show(this.output, this.row === null ? null : this.points, this.row);
  }
}

/** A square whose two directions are two units of the code. */
class Pad {
  constructor(explorer) {
    this.explorer = explorer;
    const { units } = explorer;
    this.axes = [0, Math.min(1, units.length - 1)];
    this.canvas = element("canvas", { class: "pad", width: 220, height: 220, role: "img", "aria-label": "two units of the code as a plane" });
    const select = (k) => element("select", { "aria-label": k ? "up" : "across", onchange: (event) => {
      this.axes[k] = Number(event.target.value);
      this.draw();
    } }, ...units.map((unit, i) => element("option", { value: i, selected: i === this.axes[k] }, `unit ${unit + 1}`)));
    const drag = (event) => event.buttons && this.go(event);
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.go(event);
    });
    this.canvas.addEventListener("pointermove", drag);
    this.element = units.length < 2 ? "" : element("div", {}, this.canvas, element("p", { class: "controls" }, "across ", select(0), " up ", select(1)));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  ranges() {
    return this.axes.map((i) => this.explorer.content.explorer.ranges[this.explorer.units[i]]);
  }

  go(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const t = [(event.clientX - left) / width, 1 - (event.clientY - top) / height].map((x) => Math.min(Math.max(x, 0), 1));
    const code = this.explorer.code.slice();
    this.ranges().forEach(([low, high], k) => (code[this.explorer.units[this.axes[k]]] = low + t[k] * (high - low)));
    this.explorer.set(code);
  }

  draw() {
    if (!this.element) return;
    const pen = this.canvas.getContext("2d"), size = this.canvas.width, { points, units, code, K, n } = this.explorer;
    const place = (values, start = 0) => this.ranges().map(([low, high], k) => {
      const t = (values[start + units[this.axes[k]]] - low) / (high - low);
      return size * (k ? 1 - t : t);
    });
    pen.clearRect(0, 0, size, size);
    pen.fillStyle = getComputedStyle(this.canvas).color;
    pen.globalAlpha = 0.25;
    for (let i = 0; i < n; i += Math.ceil(n / 600)) {
      const [x, y] = place(points.codes, i * K);
      pen.fillRect(x - 1, y - 1, 2, 2);
    }
    pen.globalAlpha = 1;
    const [x, y] = place(code);
    pen.strokeStyle = PALETTE[6];
    pen.lineWidth = 3;
    pen.beginPath();
    pen.arc(x, y, 7, 0, 7);
    pen.stroke();
  }
}

class ImageView {
  constructor(image) {
    this.image = image;
    this.canvas = element("canvas", { class: "picture", role: "img", "aria-label": "what the decoder makes of the code" });
    this.element = this.canvas;
  }

  decode(network, code, label) {
    return network.decode(code, label);
  }

  show(output) {
    drawImage(this.canvas, output, this.image);
  }

  card(points, i) {
    const D = product(points.x.shape.slice(1));
    return thumbnail(points.x.subarray(i * D, (i + 1) * D), points.image, drawImage, `row ${points.rows[i]}`);
  }
}

class TableView {
  constructor(columns) {
    this.columns = columns;
    this.wide = true;
    this.element = element("div", { class: "scroll" });
  }

  decode(network, code, label) {
    return network.decode(code, label);
  }

  show(output, points, row) {
    const series = [{ name: "decoded", values: output }];
    if (points) series.push({ name: "the row", values: this.values(points, row) });
    this.element.replaceChildren(profile(series, this.columns));
  }

  values(points, i) {
    const D = points.x.shape[1];
    return points.x.subarray(i * D, (i + 1) * D);
  }

  card(points, i) {
    const values = Array.from(this.values(points, i).slice(0, 4), short);
    return element("span", { class: "row" }, `row ${points.rows[i]}: ${values.join(", ")}${points.x.shape[1] > 4 ? ", ..." : ""}`);
  }
}

class TextView {
  constructor(sentences) {
    this.sentences = sentences;
    this.keyword = this.wide = true;
    this.line = element("p", { class: "line" });
    this.others = element("ul", { class: "others" });
    this.temperature = element("input", { type: "range", min: 0, max: 1.5, step: 0.1, value: 0.8, "aria-label": "temperature" });
    this.element = element("div", { class: "text" }, element("p", { class: "quiet" }, "the likeliest line"), this.line,
      element("label", { class: "knob" }, element("span", {}, "temperature"), this.temperature), this.others);
    this.temperature.addEventListener("input", () => this.draw());
  }

  decode(network, code, label) {
    Object.assign(this, { code, start: this.sentences.starts[label] });
    return this.sentences.say(code, this.start);
  }

  show(output) {
    this.line.textContent = output || "(nothing)";
    this.draw();
  }

  draw() {
    const lines = Array.from({ length: 4 }, () => this.sentences.say(this.code, this.start, Number(this.temperature.value)));
    this.others.replaceChildren(...lines.map((line) => element("li", {}, line || "(nothing)")));
  }

  card(points, i) {
    return element("span", { class: "row" }, points.lines[i]);
  }
}

/** A canvas to draw on with the mouse; the model encodes what is drawn, and gives it back. */
class Drawing {
  constructor(explorer, image) {
    Object.assign(this, { explorer, image });
    this.pixels = new Float64Array(image.height * image.width * image.channels).fill(image.low);
    const canvas = (text) => element("canvas", { class: "picture", role: "img", "aria-label": text });
    this.canvas = canvas("draw here");
    this.again = canvas("what the model gives back");
    this.heat = canvas("where it differs");
    this.canvas.classList.add("paper");
    this.told = element("p", { class: "quiet", "aria-live": "polite" }, "Draw with the mouse or a finger.");
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.last = null;
      this.stroke(event);
    });
    this.canvas.addEventListener("pointermove", (event) => event.buttons && this.stroke(event));
    const framed = (made, text) => element("figure", {}, made, element("figcaption", {}, text));
    this.element = element("div", {},
      element("div", { class: "trio" }, framed(this.canvas, "draw here"), framed(this.again, "given back"), framed(this.heat, "red: too bright, blue: too dark")),
      this.told,
      element("button", { type: "button", onclick: () => this.clear() }, "Clear"));
    this.show();
  }

  clear() {
    this.pixels.fill(this.image.low);
    this.told.textContent = "Draw with the mouse or a finger.";
    this.show();
  }

  stroke(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const here = [((event.clientX - left) / width) * this.image.width, ((event.clientY - top) / height) * this.image.height];
    const from = this.last ?? here, far = Math.hypot(here[0] - from[0], here[1] - from[1]);
    for (let s = 0; s <= far; s += 0.4) this.dab(from.map((x, k) => x + (far ? s / far : 0) * (here[k] - x)));
    this.last = here;
    this.encode();
  }

  /** A round, soft touch of the brush: white in the middle. */
  dab([x, y]) {
    const { height, width, channels, last, low, high } = this.image, radius = Math.max(width, height) / 20;
    for (let v = 0; v < height; v++)
      for (let u = 0; u < width; u++) {
        const ink = Math.min(Math.max(radius + 0.7 - Math.hypot(u + 0.5 - x, v + 0.5 - y), 0), 1);
        if (!ink) continue;
        for (let k = 0; k < channels; k++) {
          const at = last ? (v * width + u) * channels + k : (k * height + v) * width + u;
          this.pixels[at] = Math.max(this.pixels[at], low + ink * (high - low));
        }
      }
  }

  encode() {
    const { network, label } = this.explorer;
    this.code = network.encode(this.pixels, label);
    this.explorer.set(this.code);
    this.show();
  }

  show() {
    const again = this.code ? this.explorer.output : this.pixels, n = this.pixels.length;
    drawImage(this.canvas, this.pixels, this.image);
    drawImage(this.again, again, this.image);
    drawDifference(this.heat, again, this.pixels, this.image);
    if (!this.code) return;
    const error = this.pixels.reduce((sum, value, i) => sum + (again[i] - value) ** 2, 0) / n;
    const { errors } = this.explorer.points, worse = Array.from(errors).filter((e) => e > error).length / errors.length;
    this.told.textContent = `mean squared error ${short(error)}: ${(100 * worse).toFixed(0)} % of the test rows have a larger one`;
  }
}
