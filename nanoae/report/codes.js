"use strict";
// Scatter plot of the codes, with selectable axes, coloured by label. Pointing at a point shows its row; drawing a box
// shows all rows in it.

class Codes {
  /** points: {codes, plane, shares, rows, errors, labels, classes, scale}; show(i) returns an element for row i;
   *  start(i) is called when row i is clicked. */
  constructor(points, show, start) {
    Object.assign(this, { points, show, start });
    const [n, K] = points.codes.shape;
    this.axes = [
      ...(points.plane ? points.shares.map((share, k) => [`principal component ${k + 1} of the code (${(100 * share).toFixed(0)} % of its variance)`, (i) => points.plane[2 * i + k]]) : []),
      ...Array.from({ length: Math.min(K, 200) }, (_, k) => [`code unit ${k + 1}`, (i) => points.codes[i * K + k]]),
      ["error of the row", (i) => points.errors[i]],
    ];
    this.n = n;
    this.canvas = element("canvas", { class: "points", tabindex: 0, role: "img", "aria-label": `scatter plot of the codes of ${n} rows: the arrow keys move from point to point, Enter opens one in the explorer` });
    this.tip = element("div", { class: "tip", hidden: true });
    this.members = element("div", { class: "members" });
    const last = this.axes.length - 1;
    this.selects = [0, Math.min(1, last)].map((chosen) =>
      element("select", { onchange: () => this.draw() },
        ...this.axes.map(([name], i) => element("option", { value: i, selected: i === chosen }, name))));
    this.box = null;
    this.element = element("div", {},
      element("p", { class: "controls" }, element("label", {}, "across ", this.selects[0]), element("label", {}, "up ", this.selects[1])),
      element("div", { class: "plane" }, this.canvas, this.tip), this.legend(), this.members);
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    this.canvas.addEventListener("pointerleave", () => (this.tip.hidden = true));
    this.canvas.addEventListener("pointerdown", (event) => this.down(event));
    this.canvas.addEventListener("pointerup", (event) => this.up(event));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("blur", () => (this.tip.hidden = true));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  colour(i) {
    const { labels, classes, scale } = this.points;
    if (!labels) return PALETTE[0];
    if (classes) return classColour(labels[i], classes.length);
    return scaleColour((labels[i] - scale[0]) / (scale[1] - scale[0] || 1));
  }

  label(i) {
    const { labels, classes } = this.points;
    return labels ? String(classes ? classes[labels[i]] : short(labels[i])) : "";
  }

  legend() {
    const { labels, classes, scale } = this.points;
    if (!labels) return "";
    if (!classes) {
      const bar = element("span", { class: "scale" });
      bar.style.background = `linear-gradient(90deg, ${[0, 0.25, 0.5, 0.75, 1].map(scaleColour).join()})`;
      return element("p", { class: "legend" }, "label ", short(scale[0]), bar, short(scale[1]));
    }
    return element("p", { class: "legend" }, ...classes.slice(0, 40).map((name, i) => {
      const swatch = element("i", { class: "swatch" });
      swatch.style.background = classColour(i, classes.length);
      return element("span", {}, swatch, name);
    }), classes.length > 40 ? `and ${classes.length - 40} more` : "");
  }

  draw() {
    const ratio = devicePixelRatio || 1, { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width) return;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const pen = this.canvas.getContext("2d"), margin = 16;
    pen.scale(ratio, ratio);
    const [across, up] = this.selects.map((select) => this.axes[select.value][1]);
    const range = (f) => {
      let low = Infinity, high = -Infinity;
      for (let i = 0; i < this.n; i++) if (Number.isFinite(f(i))) [low, high] = [Math.min(low, f(i)), Math.max(high, f(i))];
      return high > low ? [low, high - low] : [low - 0.5, 1]; // all equal: in the middle
    };
    const [x0, w] = range(across), [y0, h] = range(up);
    this.at = Array.from({ length: this.n }, (_, i) => [
      margin + ((across(i) - x0) / w) * (width - 2 * margin), height - margin - ((up(i) - y0) / h) * (height - 2 * margin)]);
    const radius = Math.min(Math.max(Math.sqrt(9000 / this.n), 2), 4.5);
    pen.globalAlpha = 0.75;
    this.at.forEach(([x, y], i) => {
      pen.fillStyle = this.colour(i);
      pen.beginPath();
      pen.arc(x, y, radius, 0, 7);
      pen.fill();
    });
    pen.globalAlpha = 1;
    if (this.box) {
      const [left, top, right, bottom] = this.box;
      pen.strokeStyle = getComputedStyle(this.canvas).color;
      pen.setLineDash([4, 3]);
      pen.strokeRect(left, top, right - left, bottom - top);
    }
  }

  place(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  /** The index of the nearest point within 14 pixels, or -1. */
  nearest([x, y]) {
    let best = -1, least = 14 ** 2;
    this.at.forEach(([a, b], i) => {
      const distance = (a - x) ** 2 + (b - y) ** 2;
      if (distance < least) [best, least] = [i, distance];
    });
    return best;
  }

  move(event) {
    const here = this.place(event);
    if (this.from) {
      this.box = [Math.min(this.from[0], here[0]), Math.min(this.from[1], here[1]), Math.max(this.from[0], here[0]), Math.max(this.from[1], here[1])];
      return this.draw();
    }
    this.tell(this.nearest(here), here);
  }

  /** The row of a point, beside a place. */
  tell(i, here) {
    this.told = i;
    this.tip.hidden = i < 0;
    if (i < 0) return;
    this.tip.replaceChildren(this.show(i), this.caption(i));
    const { clientWidth: width } = this.canvas;
    this.tip.style.left = `${Math.min(Math.max(here[0] - this.tip.offsetWidth / 2, 0), width - this.tip.offsetWidth)}px`;
    this.tip.style.top = `${here[1] + 14}px`;
  }

  /** The arrow keys move from point to point, from left to right; Enter opens one in the explorer. */
  key(event) {
    const ways = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    if (event.key === "Enter" && this.told >= 0) this.start?.(this.told);
    if (!ways[event.key]) return;
    event.preventDefault();
    const order = Array.from(this.at.keys()).sort((a, b) => this.at[a][0] - this.at[b][0]);
    const next = order.indexOf(this.told ?? -1) + ways[event.key];
    const i = order[(next + this.n) % this.n];
    this.tell(i, this.at[i]);
  }

  caption(i) {
    const label = this.label(i), error = this.points.errors ? `, error ${short(this.points.errors[i])}` : "";
    return element("div", { class: "quiet" }, `row ${this.points.rows[i]}${label && `: ${label}`}${error}`);
  }

  down(event) {
    this.from = this.place(event);
    this.tip.hidden = true;
    this.canvas.setPointerCapture(event.pointerId);
  }

  up(event) {
    const here = this.place(event), box = this.box;
    const moved = this.from && Math.hypot(here[0] - this.from[0], here[1] - this.from[1]) > 5;
    this.from = null;
    if (!moved) {
      this.box = null;
      this.members.replaceChildren();
      const i = this.nearest(here);
      if (i >= 0) this.start?.(i);
      return this.draw();
    }
    this.select(this.at.flatMap(([x, y], i) => (x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3] ? [i] : [])));
  }

  /** Show the rows of these points below the plot. */
  select(chosen) {
    const counts = new Map();
    for (const i of chosen) counts.set(this.label(i), (counts.get(this.label(i)) ?? 0) + 1);
    const told = [...counts].filter(([name]) => name).sort((a, b) => b[1] - a[1]).map(([name, n]) => `${name}: ${n}`);
    this.members.replaceChildren(
      element("p", {}, `${chosen.length} rows in the box${told.length && this.points.classes ? ` (${told.slice(0, 10).join(", ")})` : ""}`),
      element("div", { class: "strip" }, ...chosen.slice(0, 120).map((i) => element("div", { class: "card" }, this.show(i), this.caption(i)))));
  }
}
