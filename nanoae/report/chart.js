"use strict";
// Elements and charts: small SVG drawings with colours from page.css, for light and dark mode and for printing.

/** Create an element; its children are text or other elements, never HTML. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Format a number with four significant digits. */
function short(x) {
  if (x === null || x === undefined || Number.isNaN(x)) return "-";
  if (Number.isInteger(x) && Math.abs(x) < 1e6) return x.toLocaleString("en");
  const size = Math.abs(x);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? x.toExponential(2) : x.toLocaleString("en", { maximumSignificantDigits: 4 });
}

/** About `n` round numbers from low to high. */
function ticks(low, high, n = 5) {
  const raw = (high - low) / n || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const found = [];
  const last = Math.floor(high / step + 1e-9); // multiples of the step: repeated addition would miss 0
  for (let k = Math.ceil(low / step - 1e-9); k <= last; k++) found.push(Number((k * step).toPrecision(12)) || 0);
  return found;
}

/** 1, 2 and 5 times the powers of ten, or only the powers if there are many. */
function logTicks(low, high) {
  const found = [];
  const factors = high / low > 1000 ? [1] : [1, 2, 5];
  for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++)
    for (const m of factors) if (m * 10 ** p >= low && m * 10 ** p <= high) found.push(m * 10 ** p);
  return found.length > 1 ? found : ticks(low, high);
}

// Narrow windows get a narrow drawing, so that its text stays readable.
const BOX = { width: Math.min(640, Math.max(innerWidth - 50, 300)), height: 300, left: 62, right: 14, top: 12, bottom: 44 };

/** Axes with round tick values; returns the drawing and its x and y scales. */
function axes({ x: [x0, x1], y: [y0, y1], xlabel, ylabel, log = false, whole = false, label }) {
  const { width, height, left, right, top, bottom } = BOX;
  const place = log ? Math.log : (value) => value;
  const X = (x) => left + ((x - x0) / (x1 - x0 || 1)) * (width - left - right);
  const Y = (y) => height - bottom - ((place(y) - place(y0)) / (place(y1) - place(y0) || 1)) * (height - top - bottom);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label ?? ylabel, class: "chart" });
  for (const t of log ? logTicks(y0, y1) : ticks(y0, y1)) {
    drawing.append(svg("line", { x1: left, x2: width - right, y1: Y(t), y2: Y(t), class: "grid" }));
    drawing.append(svg("text", { x: left - 8, y: Y(t) + 4, "text-anchor": "end" }, short(t)));
  }
  for (const t of ticks(x0, x1, BOX.width / 80).filter((t) => !whole || Number.isInteger(t)))
    drawing.append(svg("text", { x: X(t), y: height - bottom + 18, "text-anchor": "middle" }, short(t)));
  drawing.append(
    svg("line", { x1: left, x2: width - right, y1: height - bottom, y2: height - bottom, class: "axis" }),
    svg("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle", class: "label" }, xlabel),
    svg("text", { transform: `translate(14 ${(height - bottom + top) / 2}) rotate(-90)`, "text-anchor": "middle", class: "label" }, ylabel),
  );
  return { drawing, X, Y };
}

/** Series {name, values} by epoch; `kept` is the epoch whose weights were kept. */
function lineChart({ series, ylabel, kept, label }) {
  const values = series.flatMap((one) => one.values).filter(Number.isFinite);
  if (!values.length) return element("p", { class: "note" }, "No epoch had a finite loss.");
  const low = Math.min(...values), high = Math.max(...values), n = Math.max(...series.map((one) => one.values.length));
  const log = low > 0 && high > 20 * low, margin = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
  const y = log ? [low * 0.9, high * 1.1] : [low - margin, high + margin];
  const { drawing, X, Y } = axes({ x: [n > 1 ? 1 : 0, n > 1 ? n : 2], y, xlabel: "epoch", ylabel, log, whole: true, label });
  if (kept) {
    drawing.append(svg("line", { x1: X(kept), x2: X(kept), y1: BOX.top, y2: BOX.height - BOX.bottom, class: "kept" }));
  }
  const legend = element("p", { class: "legend" });
  series.forEach((one, i) => {
    const runs = [[]]; // a loss that is not finite leaves a gap
    one.values.forEach((v, e) => (Number.isFinite(v) ? runs.at(-1).push([X(e + 1), Y(v)]) : runs.push([])));
    for (const run of runs.filter((run) => run.length)) {
      drawing.append(svg("polyline", { points: run.map((p) => p.join()).join(" "), class: `line series${i}` }));
      if (n <= 30) for (const [cx, cy] of run) drawing.append(svg("circle", { cx, cy, r: 3, class: `dot series${i}` }));
    }
    const at = kept ? one.values[kept - 1] : one.values.at(-1);
    legend.append(element("span", {}, element("i", { class: `swatch series${i}` }), `${one.name} ${short(at)}`));
  });
  if (kept) legend.append(element("span", {}, element("i", { class: "swatch kept" }), `epoch ${kept}, weights kept`));
  return element("figure", {}, drawing, legend);
}

/** A column for each value, from edges[i] to edges[i + 1]; `marked` ones in a warning colour; a line at x = line. */
function columnChart({ values, edges, marked = [], line = null, xlabel, ylabel, log = false, whole = false, label }) {
  const positive = values.filter((v) => v > 0), high = Math.max(...values) || 1;
  const low = log && positive.length ? Math.min(...positive) / 2 : 0;
  const { drawing, X, Y } = axes({
    x: [edges[0], edges.at(-1)], y: [low, high * (log ? 1.5 : 1.05)], xlabel, ylabel, log: low > 0, whole, label });
  values.forEach((value, i) => {
    const x = X(edges[i]), width = Math.max(X(edges[i + 1]) - x - (values.length > 60 ? 0.2 : 1.5), 0.5);
    const y = value > low ? Y(value) : BOX.height - BOX.bottom - (marked.includes(i) ? 4 : 0);
    const height = BOX.height - BOX.bottom - y;
    drawing.append(svg("rect", { x, y, width, height, class: marked.includes(i) ? "column marked" : "column" }));
  });
  if (line !== null) {
    drawing.append(svg("line", { x1: X(line), x2: X(line), y1: BOX.top, y2: BOX.height - BOX.bottom, class: "kept" }));
  }
  return element("figure", {}, drawing);
}

/** A table of text and numbers. */
function plainTable({ names, rows }) {
  const cell = (value) => (typeof value === "number" ? element("td", { class: "number" }, short(value)) : element("td", {}, value));
  return element("div", { class: "scroll" }, element("table", { class: "values lines" },
    element("thead", {}, element("tr", {}, ...names.map((name, i) => element("th", { class: typeof rows[0]?.[i] === "number" && "number" }, name)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map(cell))))));
}

/** A table with a bar for each number: rows of [name, value, PCA's value or null, note]. */
function barTable({ rows, names }) {
  const most = Math.max(...rows.flatMap((row) => [row[1], row[2] ?? 0])) || 1;
  const bar = (value, kind) => {
    const made = element("div", { class: `bar ${kind}` });
    made.style.width = `${(100 * value) / most}%`;
    return made;
  };
  return element("table", { class: "bars" },
    element("thead", {}, element("tr", {}, ...names.map((name, i) => {
      const swatch = i > 1 && i < names.length - 1 && names.length > 4 ? element("i", { class: `swatch series${i - 2}` }) : "";
      return element("th", { class: i > 1 ? "number" : "" }, swatch, " ", name);
    }))),
    element("tbody", {}, ...rows.map(([name, value, other, note]) =>
      element("tr", {},
        element("th", { scope: "row" }, name),
        element("td", { class: "wide" }, bar(value, "series0"), ...(other === null ? [] : [bar(other, "series1")])),
        element("td", { class: "number" }, short(value)),
        ...(names.length > 4 ? [element("td", { class: "number" }, other === null ? "-" : short(other))] : []),
        element("td", { class: "number quiet" }, note)))));
}
