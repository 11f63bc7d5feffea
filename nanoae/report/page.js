"use strict";
// The page: builds its sections, in order, from `content`, which nanoae wrote.

/** Every {array, shape, start} in `value` becomes a typed array with a `shape`. */
function unpack(value, bytes) {
  if (Array.isArray(value)) return value.map((item) => unpack(item, bytes));
  if (value === null || typeof value !== "object") return value;
  if (!value.array) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unpack(item, bytes)]));
  const n = product(value.shape), plane = (k) => bytes.subarray(value.start + k * n, value.start + (k + 1) * n);
  let made;
  if (value.array === "levels") {
    const pixels = plane(0), step = (value.high - value.low) / 255;
    made = new Float32Array(n);
    for (let i = 0; i < n; i++) made[i] = value.low + pixels[i] * step;
  } else {
    const bits = new Uint32Array(n), [top, middle, low] = [0, 1, 2].map(plane);
    for (let i = 0; i < n; i++) bits[i] = (top[i] << 24) | (middle[i] << 16) | (low[i] << 8);
    made = new Float32Array(bits.buffer);
  }
  return Object.assign(made, { shape: value.shape });
}

async function inflated(text) {
  const letters = atob(text), packed = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) packed[i] = letters.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

let explorer = null, codes = null; // interactive parts, if the page has them

const section = (id, title, ...children) => element("section", { id }, element("h2", {}, title), ...children);
const note = (text) => element("p", { class: "note" }, text);
const part = (values, i) => values.subarray((i * values.length) / values.shape[0], ((i + 1) * values.length) / values.shape[0]);

function header({ title, subtitle, facts, results }) {
  return element("header", {},
    element("h1", {}, title), element("p", { class: "lead" }, subtitle),
    element("div", { class: "tiles" }, ...results.map(({ name, value, note }) =>
      element("div", { class: "tile" }, element("b", {}, typeof value === "number" ? short(value) : value), element("span", {}, name), element("small", {}, note ?? "")))),
    element("details", {}, element("summary", {}, "Settings and data"),
      element("dl", {}, ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", { class: value.includes("\n") && "mono" }, value)]))));
}

function findings({ findings }) {
  const list = findings.map(({ title, text, fine }) =>
    element("li", { class: fine ? "fine" : "wrong" }, element("b", {}, title), " ", text));
  return section("findings", "Findings", element("ul", { class: "findings" }, ...list));
}

/** Examples, their reconstructions by the model and by PCA, one column each. Predictors have no reconstructions. */
function comparison({ rows, x, again, pca, errors, labels, image }, columns) {
  const lines = [["original", x], ...(again ? [["reconstruction", again]] : []), ...(pca ? [["PCA", pca]] : [])];
  const cards = rows.map((row, i) => {
    const told = `${labels ? `${labels[i]}, ` : ""}row ${row}`;
    const pictures = image
      ? lines.map(([name, values]) => thumbnail(part(values, i), image, drawImage, `${name}, ${told}`))
      : [profile(lines.map(([name, values]) => ({ name, values: part(values, i) })), columns)];
    return element("div", { class: "card" }, ...pictures, element("small", { class: "quiet" }, told), element("small", {}, errors ? `error ${Number(errors[i].toPrecision(3))}` : ""));
  });
  const names = image ? [element("div", { class: "card names" }, ...lines.map(([name]) => element("span", {}, name)))] : [];
  return element("div", { class: image ? "strip compared" : "strip tables" }, ...names, ...cards);
}

function lines({ rows, lines, again, errors, labels }) {
  const names = ["row", ...(labels ? ["keyword"] : []), "line", "reconstruction", "-ELBO, nats"];
  return plainTable({ names, rows: rows.map((row, i) => [row, ...(labels ? [labels[i]] : []), lines[i], again[i] || "(nothing)", errors[i]]) });
}

function explorerSection(content) {
  const network = content.network && new Network(content.network);
  const unknown = network ? network.unknown() : null;
  if (!network || unknown) {
    return section("explorer", "Explorer", note(network ? `The page cannot compute ${unknown} layers, so this model's decoder does not run here.` : content.explorer.why));
  }
  const sentences = content.vocabulary && new Sentences(content.vocabulary, network);
  const view = sentences ? new TextView(sentences) : content.image ? new ImageView(content.image) : new TableView(content.columns);
  explorer = new Explorer(content, network, view);
  const more = [];
  if (sentences) more.push(...ownLine(sentences));
  if (content.image && content.explorer.draws) {
    explorer.drawing = new Drawing(explorer, content.image);
    more.push(element("h3", {}, "Draw your own"), explorer.drawing.element);
  }
  return section("explorer", "Explore the code",
    note("The model's decoder runs in this page, with its trained weights. Each slider is one unit of the code."), explorer.element, ...more);
}

function ownLine(sentences) {
  const input = element("input", { type: "text", placeholder: "type a line", "aria-label": "your own line" });
  input.addEventListener("input", () => input.value.trim() && explorer.set(sentences.code(input.value, sentences.starts[explorer.label])));
  return [element("h3", {}, "Encode a line"), element("p", { class: "controls" }, input)];
}

function codesSection(content) {
  const { points } = content;
  const show = (i) => explorer?.view.card(points, i) ?? (points.image ? thumbnail(part(points.x, i), points.image, drawImage, `row ${points.rows[i]}`) : element("span", {}, `row ${points.rows[i]}`));
  codes = new Codes(points, show, (i) => explorer?.start(i));
  const { histogram, units } = content;
  return section("codes", "Codes",
    note(`${codes.n.toLocaleString("en")} test rows. Point at a row, or use the arrow keys, to see it; ${explorer ? "click, or press Enter, to open it in the explorer; " : ""}draw a box to see all rows in it.`), codes.element,
    element("div", { class: "pair" },
      element("div", {}, element("h3", {}, "Histogram of code values"),
        columnChart({ ...histogram, xlabel: "value of a code unit", ylabel: "share of values", label: "histogram of the codes" }),
        note(histogram.note)),
      element("div", {}, element("h3", {}, "Standard deviation of each unit"),
        columnChart({ values: units.std, edges: units.std.map((_, i) => i + 0.5).concat(units.std.length + 0.5), marked: units.dead, xlabel: "code unit", ylabel: "standard deviation", whole: true, label: "standard deviation of each unit" }),
        note(units.note))));
}

function errors(content) {
  if (!content.errors) return "";
  const { classes, columns, worst, pca } = content.errors;
  const { measure: measured, share = measured } = content.errors;
  const names = [content.errors.of, "", measured, ...(pca ? ["PCA"] : []), "rows"];
  return section("errors", content.errors.title ?? "Errors",
    classes ? element("div", {}, element("h3", {}, "By label"), barTable({ rows: classes, names })) : "",
    columns ? element("div", {}, element("h3", {}, "By column"), barTable({ rows: columns, names: ["column", "", share, ...(pca ? ["PCA"] : []), ""] })) : "",
    worst ? element("div", {}, element("h3", {}, worst.title ?? "Rows with the largest errors"), content.vocabulary ? lines(worst) : comparison(worst, content.columns)) : "");
}

function weights({ weights }) {
  if (!weights) return "";
  return section("weights", "Weights", ...weights.map(({ title, values, image, note: text }) =>
    element("div", {}, element("h3", {}, title), note(text),
      element("div", { class: "strip weights" }, ...Array.from({ length: values.shape[0] }, (_, i) =>
        element("div", { class: "card" }, thumbnail(part(values, i), image, drawWeights, `unit ${i + 1}`), element("small", { class: "quiet" }, i + 1)))))));
}

addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => (details.open = true)));

async function main() {
  const bytes = await inflated(document.getElementById("arrays").textContent);
  const content = unpack(JSON.parse(document.getElementById("content").textContent), bytes);
  document.title = `${content.title} - nanoae`;
  const sections = [header(content), findings(content)];
  if (content.network || content.explorer) sections.push(explorerSection(content));
  if (content.curves) {
    sections.push(section("curves", "Training", element("div", { class: "pair" }, ...content.curves.map((curve) => element("div", {}, lineChart(curve), note(curve.note))))));
  }
  if (content.examples) {
    sections.push(section("reconstructions", "Reconstructions", content.vocabulary ? lines(content.examples) : comparison(content.examples, content.columns)));
  }
  sections.push(errors(content));
  if (content.points) sections.push(codesSection(content));
  for (const { title, note: text, chart, table } of content.more ?? []) {
    sections.push(section("more", title, note(text), chart ? columnChart(chart) : plainTable(table)));
  }
  sections.push(weights(content), element("footer", {}, "Written by nanoae. This file is self-contained."));
  document.getElementById("report").replaceChildren(...sections);
  explorer?.pad.draw();
  document.documentElement.dataset.ready = "yes";
}

main().catch((error) => {
  document.getElementById("report").append(element("p", {}, `This report could not be drawn: ${error.message}`));
  throw error;
});
