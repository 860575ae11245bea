// A plot that grows: lines over the numbers of their values, drawn as SVG at the width that there is. The server draws
// the same (knossos/web/plots.py) for pages without scripts; colours are those of css/plot.css.

import { setText } from "./dom.js";
import { numberAxis, place, thinned, valueAxis, written } from "./plot_scale.js";

const SVG = "http://www.w3.org/2000/svg";
const MOST_DOTS = 60;
const LETTER = 7.3;

export class Plot {
  /**
   * @param {HTMLElement} root with [data-canvas] and [data-readout]
   * @param {{labels: string[], unit: string}} about
   */
  constructor(root, { labels, unit }) {
    Object.assign(this, { root, labels, unit });
    this.canvas = root.querySelector("[data-canvas]");
    this.readout = root.querySelector("[data-readout]");
    this.lines = labels.map(() => []);
    this.shown = this.lines;
    this.from = (last) => 1;
    this.chosen = null;
    this.frame = 0;
    this.canvas.tabIndex = 0;
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.choose(null));
    this.canvas.addEventListener("blur", () => this.choose(null));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.schedule()).observe(this.canvas);
  }

  /** Show these lines, each of points [number, value]; they may be the same arrays with more in them. */
  show(lines) {
    this.lines = lines;
    this.schedule();
  }

  /** Show the values from a number on, which `from` says for the last number. */
  range(from) {
    this.from = from;
    this.chosen = null;
    this.schedule();
  }

  schedule() {
    this.frame ||= window.requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    const width = Math.round(this.canvas.clientWidth);
    const last = this.lines.reduce((most, line) => Math.max(most, line.at(-1)?.[0] ?? 0), 0);
    if (!width || !last) return;
    const first = Math.max(1, this.from(last));
    this.shown = this.lines.map((line) => line.slice(after(line, first)));
    let low = Infinity;
    let high = -Infinity;
    let least = Infinity;
    for (const line of this.shown) {
      for (const [at, value] of line) {
        if (value < low) low = value;
        if (value > high) high = value;
        if (at < least) least = at;
      }
    }
    if (low === Infinity) return;
    const height = width < 500 ? 250 : 320;
    const up = valueAxis(low, high, width < 500 ? 5 : 6);
    const across = numberAxis(least, last, Math.max(3, Math.min(10, Math.floor(width / 85))));
    const left = 14 + Math.round(LETTER * up.marks.reduce((most, [, text]) => Math.max(most, text.length), 1));
    this.box = { left, top: 12, width: width - left - 14, height: height - 58, up, across };
    const svg = node("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img" });
    svg.append(node("title", {}, this.title()), node("desc", {}, this.said()), ...this.grid());
    this.shown.forEach((line, number) => svg.append(...this.line(line, number, width)));
    svg.append(node("text", { class: "plot-name", x: left + this.box.width / 2, y: height - 8, "text-anchor": "middle" }, "Iteration"));
    this.cursor = node("line", { class: "plot-cursor", y1: 12, y2: 12 + this.box.height, visibility: "hidden" });
    svg.append(this.cursor);
    this.canvas.replaceChildren(svg);
    this.tell();
  }

  title() {
    return `${this.labels.join(", ")}${this.unit ? ` in ${this.unit}` : ""} over iterations`;
  }

  said() {
    return this.lines
      .map((line, number) => (line.length ? `${this.labels[number]}: the last value, number ${line.at(-1)[0]}, is ${this.value(line.at(-1))}.` : ""))
      .join(" ");
  }

  value([, value]) {
    return this.unit ? `${written(value)} ${this.unit}` : written(value);
  }

  x(at) {
    return this.box.left + place(this.box.across, at) * this.box.width;
  }

  y(value) {
    return this.box.top + (1 - place(this.box.up, value)) * this.box.height;
  }

  grid() {
    const { left, top, width, height, up, across } = this.box;
    const [right, bottom] = [left + width, top + height];
    const found = [];
    for (const [value, text] of up.marks) {
      const y = this.y(value);
      found.push(node("line", { class: "plot-grid", x1: left, x2: right, y1: y, y2: y }));
      found.push(node("text", { class: "plot-mark", x: left - 8, y, dy: "0.32em", "text-anchor": "end" }, text));
    }
    for (const [at, text] of across.marks) {
      const x = this.x(at);
      found.push(node("line", { class: "plot-tick", x1: x, x2: x, y1: bottom, y2: bottom + 5 }));
      found.push(node("text", { class: "plot-mark", x, y: bottom + 20, "text-anchor": "middle" }, text));
    }
    found.push(node("line", { class: "plot-axis", x1: left, x2: right, y1: bottom, y2: bottom }));
    return found;
  }

  line(points, number, columns) {
    const places = thinned(points, columns).map(([at, value]) => [this.x(at).toFixed(1), this.y(value).toFixed(1)]);
    const path = places.map(([x, y], index) => `${index ? "L" : "M"}${x} ${y}`).join(" ");
    const dots = places.length <= MOST_DOTS ? places : places.slice(-1);
    return [
      node("path", { class: `plot-line plot-line-${number}`, d: path }),
      ...dots.map(([cx, cy]) => node("circle", { class: `plot-dot plot-line-${number}`, cx, cy, r: 3 })),
    ];
  }

  // --- one iteration, by pointer or by keyboard ---------------------------------------------------------

  point(event) {
    if (!this.box) return;
    const { left, width, across } = this.box;
    const share = (event.clientX - this.canvas.getBoundingClientRect().left - left) / width;
    this.choose(Math.round(across.low + share * (across.high - across.low)));
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
    if (!this.box || !(event.key in steps)) return;
    event.preventDefault();
    const { low } = this.box.across;
    const last = Math.max(...this.shown.map((line) => line.at(-1)?.[0] ?? 0));
    this.choose(Math.min(last, Math.max(low, (this.chosen ?? last + 1) + steps[event.key])));
  }

  choose(number) {
    this.chosen = number;
    this.tell();
  }

  /** Say the values at the chosen number, or the last ones. */
  tell() {
    const said = [];
    let at = this.chosen;
    for (const [number, line] of this.shown.entries()) {
      const point = at === null ? line.at(-1) : nearest(line, at);
      if (!point) continue;
      if (this.chosen !== null) at = point[0];
      said.push(`${this.labels[number]} ${this.value(point)}${at === null ? ` (iteration ${point[0].toLocaleString("en-GB")})` : ""}`);
    }
    const where = this.chosen === null ? "Last: " : `Iteration ${at.toLocaleString("en-GB")}: `;
    setText(this.readout, said.length ? where + said.join(", ") : "");
    if (!this.cursor || !this.box) return;
    const visible = this.chosen !== null && said.length > 0;
    this.cursor.setAttribute("visibility", visible ? "visible" : "hidden");
    if (visible) for (const name of ["x1", "x2"]) this.cursor.setAttribute(name, this.x(at).toFixed(1));
  }
}

/** The place of the first point with that number or a later one. */
function after(line, number) {
  let [low, high] = [0, line.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (line[middle][0] < number) low = middle + 1;
    else high = middle;
  }
  return low;
}

function nearest(line, number) {
  const here = after(line, number);
  const [before, next] = [line[here - 1], line[here]];
  if (!before || !next) return before ?? next;
  return number - before[0] < next[0] - number ? before : next;
}

function node(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, String(value));
  if (text !== undefined) made.textContent = text;
  return made;
}
