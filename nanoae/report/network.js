"use strict";
// The network in the page: the forward pass of each layer for one example, as in its docstring in nanoae/engine.
//
// A layer is an object written by nanoae: `type`, the constructor's arguments, `in` and `out` (the shapes of an example),
// and its arrays in `arrays`. A forward takes x, a flat Float64Array, and returns a new one. `memory` is shared by
// the layers of one network: the tokens read, and the one-hot label.

const sigmoid = (x) => (1 + Math.tanh(x / 2)) / 2;
const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const same = (layer, x) => x;
const each = (f) => (layer, x) => x.map((value) => f(value, layer));
const product = (shape) => shape.reduce((a, b) => a * b, 1);
const pair = (value) => (Array.isArray(value) ? value : [value, value]);

/** y = x W + b, W (I, O). */
function linear(x, W, b) {
  const y = new Float64Array(b);
  const n = y.length;
  for (let i = 0; i < x.length; i++) {
    if (x[i] === 0) continue;
    for (let o = 0; o < n; o++) y[o] += x[i] * W[i * n + o];
  }
  return y;
}

/** y = x Wᵀ + b, W (O, I). */
function linearTransposed(x, W, b) {
  const y = new Float64Array(b);
  for (let o = 0; o < y.length; o++) {
    for (let i = 0; i < x.length; i++) y[o] += x[i] * W[o * x.length + i];
  }
  return y;
}

/**
 * All that a kernel W (K, C, KH, KW) joins: pixels (c, s oh + i - p, s ow + j - p) of a large image (C, H, W) and
 * (k, oh, ow) of a small one (K, OH, OW); what falls outside the large one is left out. join(w, large, small, n, step)
 * is called for each row of them: W[w], and n pixels from these places on, in the large image `step` apart.
 */
function kernelRows({ kernel, stride, padding }, [C, H, W], [K, OH, OW], join) {
  const [KH, KW] = pair(kernel), [SH, SW] = pair(stride), [PH, PW] = pair(padding);
  for (let k = 0; k < K; k++)
    for (let c = 0; c < C; c++)
      for (let i = 0; i < KH; i++)
        for (let j = 0; j < KW; j++) {
          const first = Math.max(Math.ceil((PW - j) / SW), 0), last = Math.min(Math.floor((W - 1 + PW - j) / SW), OW - 1);
          for (let oh = 0; oh < OH; oh++) {
            const h = SH * oh + i - PH;
            if (h < 0 || h >= H) continue;
            join(((k * C + c) * KH + i) * KW + j, (c * H + h) * W + SW * first + j - PW, (k * OH + oh) * OW + first, last - first + 1, SW);
          }
        }
}

/** An image (C, H, W) of b[c]. */
function plain([C, H, W], b) {
  return new Float64Array(C * H * W).map((_, i) => b[Math.floor(i / (H * W))]);
}

/** y[k, oh, ow] = b[k] + sum of W[k, c, i, j] x[c, s oh + i - p, s ow + j - p], 0 outside x. */
function conv2d(layer, x, W, b) {
  const y = plain(layer.out, b);
  kernelRows(layer, layer.in, layer.out, (w, large, small, n, step) => {
    for (let t = 0; t < n; t++) y[small + t] += W[w] * x[large + step * t];
  });
  return y;
}

/** y[c, s h + i - p, s w + j - p] += W[k, c, i, j] x[k, h, w]; what falls outside y is lost. */
function convTranspose2d(geometry, small, large, x, W, b) {
  const y = plain(large, b);
  kernelRows(geometry, large, small, (w, to, from, n, step) => {
    for (let t = 0; t < n; t++) y[to + step * t] += W[w] * x[from + t];
  });
  return y;
}

/** y[c, oh, ow]: the values of x in the window, combined by `fold`, beginning with `start`. */
function pool(layer, x, start, fold) {
  const [C, H, W] = layer.in, [, OH, OW] = layer.out;
  const [KH, KW] = pair(layer.kernel), [SH, SW] = pair(layer.stride ?? layer.kernel), [PH, PW] = pair(layer.padding);
  const y = new Float64Array(C * OH * OW).fill(start);
  for (let c = 0; c < C; c++)
    for (let oh = 0; oh < OH; oh++)
      for (let ow = 0; ow < OW; ow++)
        for (let i = 0; i < KH; i++)
          for (let j = 0; j < KW; j++) {
            const h = SH * oh + i - PH, w = SW * ow + j - PW, at = (c * OH + oh) * OW + ow;
            if (h >= 0 && h < H && w >= 0 && w < W) y[at] = fold(y[at], x[(c * H + h) * W + w]);
          }
  return y;
}

/** One step of a GRU: a = x W + b and u = h U + c, in thirds for r, z and n; gives the next h. */
function gruStep(x, h, { W, U, b, c }) {
  const a = linear(x, W, b), u = linear(h, U, c), n = h.length;
  return h.map((before, o) => {
    const r = sigmoid(a[o] + u[o]), z = sigmoid(a[n + o] + u[n + o]);
    return (1 - z) * Math.tanh(a[2 * n + o] + r * u[2 * n + o]) + z * before;
  });
}

/** The rows of x (T, width). */
const steps = (x, width) => Array.from({ length: x.length / width }, (_, t) => x.subarray(t * width, (t + 1) * width));

/** The row of a token in the table of an Embedding or TeacherForcing layer. */
const wordVector = (layer, word) => layer.arrays.W.subarray(word * layer.n_out, (word + 1) * layer.n_out);

function joined(parts) {
  const y = new Float64Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    y.set(part, at);
    at += part.length;
  }
  return y;
}

/** (x - mean) / sqrt(var + eps) of each run of `size` numbers by itself, then gamma and beta. */
function layerNorm(layer, x) {
  const size = product(layer.in.slice(-layer.axes)), { gamma, beta } = layer.arrays;
  return joined(steps(x, size).map((row) => {
    const mean = row.reduce((a, b) => a + b, 0) / size;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / size;
    return row.map((value, i) => (gamma[i] * (value - mean)) / Math.sqrt(variance + layer.eps) + beta[i]);
  }));
}

function batchNorm(layer, x) {
  const { gamma, beta, mean, var: variance } = layer.arrays, size = product(layer.in.slice(1));
  return x.map((value, i) => {
    const c = Math.floor(i / size);
    return (gamma[c] * (value - mean[c])) / Math.sqrt(variance[c] + layer.eps) + beta[c];
  });
}

/** Keep the k largest values (of equal ones the first); set the others to 0. */
function topK(layer, x) {
  const k = Math.min(roundHalfEven(layer.alpha * layer.k), x.length);
  const order = Array.from(x.keys()).sort((a, b) => x[b] - x[a] || a - b);
  const y = new Float64Array(x.length);
  for (const i of order.slice(0, k)) y[i] = x[i];
  return y;
}

function roundHalfEven(x) {
  return x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x);
}

const LAYERS = {
  Linear: (layer, x) => linear(x, layer.arrays.W, layer.arrays.b),
  TiedLinear: (layer, x) => linearTransposed(x, layer.source.arrays.W, layer.arrays.b),
  Identity: same,
  ReLU: each((x) => Math.max(x, 0)),
  LeakyReLU: each((x, { slope }) => (x > 0 ? x : slope * x)),
  ELU: each((x, { alpha }) => (x > 0 ? x : alpha * Math.expm1(x))),
  Sigmoid: each(sigmoid),
  Tanh: each(Math.tanh),
  Softplus: each(softplus),
  GELU: each((x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))),
  SiLU: each((x) => x * sigmoid(x)),
  Conv2d: (layer, x) => conv2d(layer, x, layer.arrays.W, layer.arrays.b),
  ConvTranspose2d: (layer, x) => convTranspose2d(layer, layer.in, layer.out, x, layer.arrays.W, layer.arrays.b),
  TiedConvTranspose2d: (layer, x) =>
    convTranspose2d(layer.source, layer.in, layer.out, x, layer.source.arrays.W, layer.arrays.b),
  MaxPool2d: (layer, x) => pool(layer, x, -Infinity, Math.max),
  AvgPool2d: (layer, x) => pool(layer, x, 0, (a, b) => a + b).map((sum) => sum / product(pair(layer.kernel))),
  Upsample(layer, x) {
    const [C, OH, OW] = layer.out, [, H, W] = layer.in, [FH, FW] = pair(layer.factor);
    return new Float64Array(C * OH * OW).map((_, i) => {
      const c = Math.floor(i / (OH * OW)), h = Math.floor(i / OW) % OH, w = i % OW;
      return x[(c * H + Math.floor(h / FH)) * W + Math.floor(w / FW)];
    });
  },
  BatchNorm: batchNorm,
  LayerNorm: layerNorm,
  Flatten: same,
  Reshape: same,
  // Identities outside training: noise, penalties, and the adversary of a code.
  Dropout: same, GaussianNoise: same, MaskingNoise: same, SaltAndPepper: same,
  L1Sparsity: same, KLSparsity: same, Contractive: same, Adversarial: same,
  // Bottlenecks, labels and missing values.
  Gaussian: (layer, x) => x.slice(0, x.length / 2), // [mu, logvar]: the mean
  TopK: topK,
  FillMissing: (layer, x) => x.map((value, i) => (Number.isNaN(value) ? layer.arrays.center[i] : value)),
  ConcatLabel(layer, x, memory) {
    const pixels = product(layer.shape.slice(1));
    return joined([x, ...Array.from(memory.condition, (c) => new Float64Array(pixels).fill(c))]);
  },
  ConcatSharedLabel: (layer, x, memory) => joined([x, memory.condition]),
  // Sequences: x is (T, width), flat.
  Embedding(layer, x, memory) {
    memory.words = Array.from(x, Math.round);
    return joined(memory.words.map((word) => wordVector(layer, word)));
  },
  GRU(layer, x) {
    let h = new Float64Array(layer.n_out);
    const states = steps(x, layer.in[1]).map((row) => (h = gruStep(row, h, layer.arrays)));
    return layer.last ? h : joined(states);
  },
  LastTimestep(layer, x, memory) {
    const last = memory.words.findLastIndex((word) => word !== 0);
    return steps(x, layer.in[1])[Math.max(last, 0)];
  },
  TeacherForcing(layer, x, memory) {
    const [first] = memory.words, told = memory.words.slice(0, -1);
    return joined(told.flatMap((word) => [wordVector(layer, word), wordVector(layer, first), x]));
  },
  TimeDistributed: (layer, x, memory) =>
    joined(steps(x, product(layer.in.slice(1))).map((row) => LAYERS[layer.layer.type](layer.layer, row, memory))),
};

function softmax(y) {
  const most = Math.max(...y), powers = y.map((value) => Math.exp(value - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / sum);
}

// The prediction from the last layer's output, by loss.
const OUTPUTS = {
  BCE: (loss, y) => y.map(sigmoid),
  SoftmaxCrossEntropy: (loss, y) => softmax(y),
  Mixed(loss, y) {
    let at = 0;
    return joined(loss.blocks.map((width) => {
      const block = y.slice(at, (at += width));
      return width > 1 ? softmax(block) : block;
    }));
  },
};

/** The straight lines through the knots (from, to), and beyond them one of slope 1. */
function alongKnots(x, from, to) {
  const last = from.length - 1, inside = Math.min(Math.max(x, from[0]), from[last]);
  if (last === 0) return to[0] + x - inside;
  let k = 1;
  while (k < last && from[k] <= inside) k++;
  const t = (inside - from[k - 1]) / (from[k] - from[k - 1]);
  return to[k - 1] + t * (to[k] - to[k - 1]) + x - inside;
}

/** z, beyond ±limit ±(limit + log(1 + |z| - limit)); null is no limit. */
function drawnIn(z, limit) {
  const beyond = Math.abs(z) - (limit ?? Infinity);
  return beyond > 0 ? Math.sign(z) * (limit + Math.log1p(beyond)) : z;
}

/** The inverse of drawnIn. */
function drawnOut(z, limit) {
  const beyond = Math.abs(z) - (limit ?? Infinity);
  return beyond > 0 ? Math.sign(z) * (limit + Math.expm1(beyond)) : z;
}

/** Images (H, W, C) as (C, H, W). */
function channelsFirst(x, [H, W, C]) {
  return x.map((_, i) => x[(i % (H * W)) * C + Math.floor(i / (H * W))]);
}

function channelsLast(x, [H, W, C]) {
  return x.map((_, i) => x[(i % C) * H * W + Math.floor(i / C)]);
}

class Network {
  /**
   * description: {layers, encoder: how many of them make the code, loss, labels: how many, 0 if unconditional, scale:
   * of each column or channel, null for none, last: the shape of images whose channels come last, else null}.
   */
  constructor(description) {
    Object.assign(this, description);
    for (const layer of this.layers) {
      const inner = layer.layer;
      if (layer.source) layer.source = this.layers[layer.source.part];
      if (inner) Object.assign(inner, { arrays: layer.arrays, in: layer.in.slice(1), out: layer.out.slice(1) });
    }
  }

  /** The type of a layer that this page does not support, or undefined. */
  unknown() {
    return this.layers.flatMap((layer) => [layer, layer.layer ?? layer]).find((layer) => !LAYERS[layer.type])?.type;
  }

  /** A row as input of the network. */
  scaled(row) {
    const x = this.last ? channelsFirst(row, this.last) : row;
    if (!this.scale) return x;
    const { center, scale, limit, knots } = this.scale;
    return x.map((value, i) => {
      const c = Math.floor((i * center.length) / x.length);
      const t = (value - center[c]) / (scale[c] ?? NaN); // unknown column
      return drawnIn(knots ? alongKnots(t, ...knots[c]) : t, limit[c]);
    });
  }

  /** The network's output in the data's units and layout. */
  unscaled(y) {
    let x = y;
    if (this.scale) {
      const { center, scale, limit, knots } = this.scale;
      x = y.map((value, i) => {
        const c = Math.floor((i * center.length) / y.length), z = drawnOut(value, limit[c]);
        return center[c] + (scale[c] ?? NaN) * (knots ? alongKnots(z, knots[c][1], knots[c][0]) : z);
      });
    }
    return this.last ? channelsLast(x, this.last) : x;
  }

  run(x, start, stop, label) {
    const condition = new Float64Array(this.labels);
    if (this.labels) condition[label] = 1;
    const memory = { condition };
    let y = Float64Array.from(x);
    for (const layer of this.layers.slice(start, stop)) y = LAYERS[layer.type](layer, y, memory);
    return y;
  }

  encode(x, label) {
    return this.run(this.scaled(Float64Array.from(x)), 0, this.encoder, label);
  }

  decode(code, label) {
    const y = this.run(code, this.encoder, this.layers.length, label);
    const output = OUTPUTS[this.loss?.type];
    return this.unscaled(output ? output(this.loss, y) : y);
  }
}
