// The page of a calculation, beside run.js: plots of the numbers that it prints, as it prints them.

import "./ask.js";
import { element, show } from "./dom.js";
import { LineValues } from "./line_values.js";
import { Plot } from "./plot.js";
import { written } from "./plot_scale.js";

const ROWS = 100;
const LOOK_EVERY_MS = 5000;

const page = document.querySelector("[data-run]");
const panel = page.querySelector("[data-plots]");
const wasOver = page.dataset.finished !== undefined;

if (panel) plots();
if (!wasOver) window.setTimeout(look, LOOK_EVERY_MS);

function plots() {
  const figures = [...panel.querySelectorAll("[data-chart]")].map((figure) => {
    const about = JSON.parse(figure.dataset.chart);
    return { figure, plot: new Plot(figure, about), values: new LineValues(about.sources), details: figure.querySelector("[data-values]") };
  });
  let given = fromServer();
  const range = panel.querySelector("[data-range]");
  range.addEventListener("change", () => {
    for (const { plot } of figures) plot.range(beginning(range.value));
  });
  for (const one of figures) one.details.addEventListener("toggle", draw);
  page.addEventListener("run:output", ({ detail: { stream, text } }) => {
    // What a page that is opened after the end gets of the output may be its end only.
    if (stream !== "stdout" || wasOver) return;
    for (const { values } of figures) values.add(text);
    draw();
  });
  page.addEventListener("run:again", () => {
    if (wasOver) return;
    given = given.map((lines) => lines.map(() => []));
    for (const { values } of figures) values.clear();
    draw();
  });
  page.addEventListener("run:end", () => {
    for (const { values } of figures) values.end();
    given = fromServer();
    draw();
  });
  draw();

  // The server's numbers until the feed has brought as many: it begins at the beginning.
  function draw() {
    let some = false;
    figures.forEach(({ figure, plot, values, details }, index) => {
      const theirs = given[index] ?? [];
      const lines = values.lines.map((line, at) => (last(line) >= last(theirs[at] ?? []) ? line : theirs[at]));
      const any = lines.some((line) => line.length > 0);
      some ||= any;
      show(figure, any);
      plot.show(lines);
      if (details.open) table(figure, lines);
    });
    show(panel.querySelector("[data-range-tools]"), some);
    show(panel.querySelector("[data-no-values]"), !some);
  }

  function fromServer() {
    return JSON.parse(panel.querySelector("[data-points]")?.value || "[]");
  }
}

function last(line) {
  return line.at(-1)?.[0] ?? 0;
}

function beginning(choice) {
  if (choice === "all") return () => 1;
  return choice === "half" ? (count) => Math.floor(count / 2) + 1 : (count) => count - Number(choice) + 1;
}

function table(figure, lines) {
  const count = Math.max(...lines.map(last));
  const found = new Map();
  lines.forEach((line, column) => {
    for (const [at, value] of line.slice(-ROWS)) {
      if (at <= count - ROWS) continue;
      if (!found.has(at)) found.set(at, lines.map(() => ""));
      found.get(at)[column] = written(value);
    }
  });
  const rows = [...found].sort(([one], [other]) => one - other).map(([at, values]) =>
    element("tr", {}, element("th", { scope: "row" }, at.toLocaleString("en-GB")), values.map((value) => element("td", {}, value))),
  );
  figure.querySelector("[data-rows]").replaceChildren(...rows);
}

// What the batch system says is on the page as the server renders it now.
async function look() {
  if (page.dataset.finished !== undefined) return;
  if (!document.hidden) {
    const response = await fetch(window.location.href).catch(() => null);
    if (response?.ok && page.dataset.finished === undefined) {
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      for (const name of ["batch", "about", "plot-foot"]) {
        const [now, then] = [fresh, page].map((place) => place.querySelector(`[data-swap="${name}"]`));
        if (now && then && now.innerHTML !== then.innerHTML) then.replaceChildren(...now.childNodes);
      }
    }
  }
  window.setTimeout(look, LOOK_EVERY_MS);
}
