"use strict";
// The explorer: sliders for the units of the code, and the model's own decoder and encoder.

const MOST_SLIDERS = 32; // sliders for the units that vary most; the other units keep their values
const WALK_SECONDS = 3;

class Explorer {
  /** content: the content of the page; network: a Network; view: an ImageView, TableView or TextView. */
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
        this.K > this.units.length ? element("p", { class: "quiet" }, `The ${this.units.length} of ${this.K} units that vary most; the others keep their values.`) : "",
        ...this.sliders.map(({ line }) => line)),
      this.starts());
    this.start(this.content.explorer.starts[0]);
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
    const line = element("label", { class: dead ? "knob dead" : "knob" }, element("span", {}, dead ? `${unit + 1} (${this.content.explorer.silent})` : unit + 1), input, number);
    return { unit, input, number, line };
  }

  buttons() {
    const button = (text, act, hint) => element("button", { type: "button", onclick: act, title: hint }, text);
    const { of } = this.content.explorer;
    return element("p", { class: "buttons" },
      button(of === "prior" ? "Sample the prior" : "Sample a code", () => {
        const { K } = this, i = this.drawn++ % this.prior.shape[0];
        this.set(this.prior.subarray(i * K, (i + 1) * K));
      }, of === "prior" ? "a sample from the model's prior" : "this model has no prior: a sample from a Gaussian fitted to the test codes"),
      button("Mean code", () => this.set(this.home), "every unit at its mean"));
  }

  menu() {
    const { labels } = this.content.explorer;
    if (!labels.length) return "";
    if (this.view.keyword) return this.keywords(labels);
    this.labelMenu = element("select", { onchange: () => this.under(Number(this.labelMenu.value)) },
      ...labels.map((label, i) => element("option", { value: i }, label)));
    return element("p", { class: "controls" }, element("label", {}, "label ", this.labelMenu));
  }

  /** A text input for the keyword, with the known keywords as suggestions. */
  keywords(labels) {
    const input = element("input", { type: "text", list: "keywords", value: labels[0], "aria-label": "keyword" });
    input.addEventListener("input", () => {
      const found = labels.indexOf(input.value.trim());
      if (found >= 0) this.under(found);
      input.classList.toggle("unknown", found < 0);
    });
    this.labelMenu = input;
    const known = element("datalist", { id: "keywords" }, ...labels.map((label) => element("option", { value: label })));
    return element("p", { class: "controls" }, element("label", {}, "keyword ", input), known);
  }

  /** Decode with another label. */
  under(label) {
    this.label = label;
    this.update();
  }

  /** Rows to start from, and the interpolation between two of them. */
  starts() {
    const some = this.content.explorer.starts;
    this.ends = [some[0], some[Math.min(1, some.length - 1)]];
    this.slots = [element("div", { class: "slot" }), element("div", { class: "slot" })];
    this.t = element("input", { type: "range", min: 0, max: 1, step: "any", value: 0, "aria-label": "position between the two rows" });
    this.t.addEventListener("input", () => this.walk(Number(this.t.value)));
    this.filling = 1;
    this.fill();
    const play = element("button", { type: "button", onclick: () => this.play() }, "Play");
    return element("div", { class: "ways" },
      element("h3", {}, "Start from a row, and interpolate to another"),
      element("div", { class: "strip starts" }, ...some.map((i) => element("button", { type: "button", class: "card", onclick: () => this.start(i) }, this.view.card(this.points, i)))),
      element("p", { class: "quiet" }, "Click a row to set the code to it. The slider interpolates between the last two rows that you clicked."),
      element("div", { class: "walk" }, this.slots[0], this.t, this.slots[1], play));
  }

  fill() {
    this.slots.forEach((slot, k) => slot.replaceChildren(this.view.card(this.points, this.ends[k])));
  }

  start(i) {
    this.ends = [this.ends[1], i];
    this.fill();
    this.t.value = 1;
    const { labels, labelOf } = this.content.explorer;
    if (this.labelMenu && labelOf.length) {
      this.label = labelOf[i];
      this.labelMenu.value = this.view.keyword ? labels[this.label] : this.label;
    }
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

  /** Set the code; `row` is the row that it belongs to, if any. */
  set(code, row = null) {
    this.code = Float64Array.from(code);
    this.row = row;
    this.update();
  }

  /** Decode the code and show the result. */
  update() {
    this.output = this.view.decode(this.network, this.code, this.label);
    for (const { unit, input, number } of this.sliders) {
      if (Number(input.value) !== this.code[unit]) input.value = this.code[unit];
      number.textContent = this.code[unit].toFixed(2).replace("-0.00", "0.00");
    }
    this.pad.draw();
    this.said.textContent = this.row === null ? "" : `reconstruction of row ${this.points.rows[this.row]}`;
    this.view.show(this.output, this.row === null ? null : this.points, this.row);
  }
}

/** A square pad that controls two units of the code. */
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
    if (!this.canvas.isConnected) return;
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
