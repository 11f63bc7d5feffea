"use strict";
// An image drawn with the mouse, encoded and decoded by the model.

/** A canvas for drawing; the model encodes the drawing and decodes it. */
class Drawing {
  constructor(explorer, image) {
    Object.assign(this, { explorer, image });
    this.pixels = new Float64Array(image.height * image.width * image.channels).fill(image.low);
    const canvas = (text) => element("canvas", { class: "picture", role: "img", "aria-label": text });
    this.canvas = canvas("draw here");
    this.again = canvas("the reconstruction");
    this.heat = canvas("difference from the drawing");
    this.canvas.classList.add("paper");
    this.told = element("p", { class: "quiet", "aria-live": "polite" });
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.last = null;
      this.stroke(event);
    });
    this.canvas.addEventListener("pointermove", (event) => event.buttons && this.stroke(event));
    const framed = (made, text) => element("figure", {}, made, element("figcaption", {}, text));
    this.element = element("div", {},
      element("div", { class: "trio" }, framed(this.canvas, "draw here"), framed(this.again, "reconstruction"), framed(this.heat, "red: too bright, blue: too dark")),
      this.told,
      element("button", { type: "button", onclick: () => this.clear() }, "Clear"));
    this.clear();
  }

  clear() {
    this.pixels.fill(this.image.low);
    this.code = null;
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

  /** One round, soft dab of the brush: white in the middle. */
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
    drawImage(this.canvas, this.pixels, this.image);
    for (const made of [this.again, this.heat]) made.parentNode.hidden = !this.code;
    if (!this.code) return;
    const again = this.explorer.output, n = this.pixels.length;
    drawImage(this.again, again, this.image);
    drawDifference(this.heat, again, this.pixels, this.image);
    const error = this.pixels.reduce((sum, value, i) => sum + (again[i] - value) ** 2, 0) / n;
    const { errors } = this.explorer.points, worse = Array.from(errors).filter((e) => e > error).length / errors.length;
    this.told.textContent = `mean squared error ${short(error)}: ${(100 * worse).toFixed(0)} % of the test rows have a larger error`;
  }
}
