"use strict";
// Pictures: numbers as pixels. An image is laid out as `image` says: {height, width, channels, last, low, high}, `last`
// if the channels come last; low is black and high is white.

// Ten colours told apart with any colour vision (Petroff 2021, arXiv:2107.02270).
const PALETTE = ["#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"];
const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

/** The colour of one of n classes. */
const classColour = (i, n) => (n <= PALETTE.length ? PALETTE[i] : `hsl(${(i * 137.5) % 360} 60% 52%)`);

/** The colour of t on a scale from 0 to 1; grey for NaN. */
function scaleColour(t) {
  if (Number.isNaN(t)) return "#94a4a2";
  const at = Math.min(Math.max(t, 0), 1) * (VIRIDIS.length - 1), i = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return `rgb(${VIRIDIS[i].map((from, k) => Math.round(from + (at - i) * (VIRIDIS[i + 1][k] - from))).join()})`;
}

/** Red, green and blue, 0..255, of a signed number from -1 to 1: blue, the paper's white, red. */
function signedColour(t) {
  const size = Math.min(Math.abs(t), 1), end = t > 0 ? [178, 24, 43] : [33, 102, 172];
  return end.map((value) => 247 + size * (value - 247));
}

function pixels(image, colour) {
  const data = new ImageData(image.width, image.height);
  for (let y = 0; y < image.height; y++)
    for (let x = 0; x < image.width; x++) {
      const [r, g, b] = colour((k) => (image.last ? (y * image.width + x) * image.channels + k : (k * image.height + y) * image.width + x));
      data.data.set([r, g, b, 255], 4 * (y * image.width + x));
    }
  return data;
}

/** Draw an example on a canvas of the same size in pixels. */
function drawImage(canvas, values, image) {
  const grey = (v) => (255 * (v - image.low)) / (image.high - image.low || 1);
  const colour = (at) => (image.channels > 1 ? [0, 1, 2] : [0, 0, 0]).map((k) => grey(values[at(k)])); // a fourth is not drawn
  put(canvas, image, pixels(image, colour));
}

/** Draw how far `values` are above (red) or below (blue) `target`, averaged over the channels. */
function drawDifference(canvas, values, target, image) {
  const span = image.high - image.low || 1;
  const colour = (at) => {
    let sum = 0;
    for (let k = 0; k < image.channels; k++) sum += values[at(k)] - target[at(k)];
    return signedColour(sum / image.channels / span);
  };
  put(canvas, image, pixels(image, colour));
}

/** Draw weights from -1 to 1: blue, white and red for grey images; in colour, with zero grey, for colour images. */
function drawWeights(canvas, values, image) {
  const colour = (at) =>
    image.channels > 1 ? [0, 1, 2].map((k) => 127.5 * (1 + values[at(k)])) : signedColour(values[at(0)]);
  put(canvas, image, pixels(image, colour));
}

function put(canvas, image, data) {
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(data, 0, 0);
}

function thumbnail(values, image, draw = drawImage, label = "") {
  const canvas = element("canvas", { class: "thumb", role: "img", "aria-label": label });
  draw(canvas, values, image);
  return canvas;
}

/** A row of a table: one line per column with the values side by side, or a curve if there are many columns. */
function profile(series, columns) {
  const n = series[0].values.length;
  if (n <= 40) {
    return element("table", { class: "values" },
      element("thead", {}, element("tr", {}, element("th", {}, "column"), ...series.map((one) => element("th", { class: "number" }, one.name)))),
      element("tbody", {}, ...Array.from({ length: n }, (_, i) =>
        element("tr", {}, element("th", { scope: "row" }, columns[i]),
          ...series.map((one) => element("td", { class: "number" }, short(one.values[i])))))));
  }
  const all = series.flatMap((one) => Array.from(one.values)).filter(Number.isFinite);
  const { drawing, X, Y } = axes({
    x: [1, n], y: [Math.min(...all), Math.max(...all)], xlabel: "column", ylabel: "value", label: "values by column" });
  series.forEach((one, i) => {
    const points = Array.from(one.values, (v, j) => `${X(j + 1)},${Y(Number.isFinite(v) ? v : 0)}`);
    drawing.append(svg("polyline", { points: points.join(" "), class: `line series${i}` }));
  });
  const legend = series.map((one, i) => element("span", {}, element("i", { class: `swatch series${i}` }), one.name));
  return element("figure", {}, drawing, element("p", { class: "legend" }, ...legend));
}
