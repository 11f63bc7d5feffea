"use strict";
// Views of the decoder's output: an image, a row of a table, or a line of text.

class ImageView {
  constructor(image) {
    this.image = image;
    this.canvas = element("canvas", { class: "picture", role: "img", "aria-label": "decoded image" });
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
    if (points) series.push({ name: "original", values: this.values(points, row) });
    this.element.replaceChildren(profile(series, this.columns));
  }

  values(points, i) {
    const D = points.x.shape[1];
    return points.x.subarray(i * D, (i + 1) * D);
  }

  card(points, i) {
    const values = Array.from(this.values(points, i).slice(0, 4), short);
    return element("span", { class: "row" }, `row ${points.rows[i]}: ${values.join(" · ")}${points.x.shape[1] > 4 ? " ..." : ""}`);
  }
}

class TextView {
  constructor(sentences) {
    this.sentences = sentences;
    this.keyword = this.wide = true;
    this.line = element("p", { class: "line" });
    this.others = element("ul", { class: "others" });
    this.temperature = element("input", { type: "range", min: 0, max: 1.5, step: 0.1, value: 0.8, "aria-label": "temperature" });
    this.element = element("div", { class: "text" }, element("p", { class: "quiet" }, "most probable line"), this.line,
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
