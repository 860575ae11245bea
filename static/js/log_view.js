// The live log: lines are added once per frame, however many arrive; a filter by level and text; following the end.
// Lines lie in blocks, and the browser lays out only the blocks that are in view: thousands of lines stay smooth.

import { element, setText, show } from "./dom.js";
import * as format from "./format.js";
import { GrowingList } from "./growing_list.js";

const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"];
const MOST_PER_FRAME = 500;
const BLOCK_LINES = 100;
const LINE = /^(DEBUG|INFO|WARNING|ERROR|CRITICAL|EXCEPTION): ?([^]*)$/;
const CUT = /^\.\.\. .*cut here/;

export class LogView extends GrowingList {
  constructor(root, { onSerious }) {
    super(root);
    this.level = root.querySelector("[data-level]");
    this.search = root.querySelector("[data-search]");
    this.onSerious = onSerious;
    this.waiting = [];
    this.rows = [];
    this.block = null;
    this.visible = 0;
    this.frame = 0;
    this.ended = false;
    this.level.addEventListener("change", () => this.refilter());
    this.search.addEventListener("input", () => this.refilter());
    this.count();
  }

  /** Add a line as the server sends it, "LEVEL: text". */
  add(line) {
    this.waiting.push(line);
    this.frame ||= window.requestAnimationFrame(() => this.flush());
  }

  /** Nothing more will come. */
  end() {
    this.ended = true;
    this.count();
  }

  flush() {
    this.frame = 0;
    const lines = this.waiting.splice(0, MOST_PER_FRAME);
    for (const line of lines) {
      if (this.rows.length % BLOCK_LINES === 0) {
        this.block?.classList.add("is-full");
        this.block = element("div", { class: "log-block" });
        this.list.append(this.block);
      }
      const row = this.row(line);
      this.rows.push(row);
      this.block.append(row);
    }
    this.count();
    if (this.following) this.toEnd();
    if (this.waiting.length > 0) this.frame = window.requestAnimationFrame(() => this.flush());
  }

  row(line) {
    const [, word = "INFO", text = line] = LINE.exec(line) ?? [];
    const level = LEVELS.includes(word) ? word : "ERROR";
    const isCut = CUT.test(text);
    const row = element(
      "div",
      { class: isCut ? "log-line is-cut" : "log-line", "data-level": level },
      isCut ? null : element("span", { class: "log-level" }, level.toLowerCase()),
      element("span", { class: "log-text" }, isCut ? text.replace(/^\.\.\. ?| ?\.\.\.$/g, "") : text),
    );
    row.hidden = !this.matches(row);
    if (!row.hidden) this.visible += 1;
    if (level === "WARNING" || level === "ERROR") this.onSerious(level, text);
    return row;
  }

  matches(row) {
    if (row.classList.contains("is-cut")) return true;
    if (LEVELS.indexOf(row.dataset.level) < LEVELS.indexOf(this.level.value)) return false;
    const wanted = this.search.value.trim().toLowerCase();
    return wanted === "" || row.lastChild.textContent.toLowerCase().includes(wanted);
  }

  refilter() {
    this.visible = 0;
    for (const row of this.rows) {
      row.hidden = !this.matches(row);
      if (!row.hidden) this.visible += 1;
    }
    this.count();
    if (this.following) this.toEnd();
  }

  count() {
    const total = this.rows.length;
    const all = format.count(total, "line");
    setText(this.counter, this.visible === total ? all : `${this.visible.toLocaleString("en-GB")} of ${all}`);
    setText(this.empty, total > 0 ? "No line passes the filter." : this.ended ? "Nothing was written." : "Nothing has been written yet.");
    show(this.empty, this.visible === 0);
  }
}
