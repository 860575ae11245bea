// One row per file of a task: phase, bar, bytes, speed, time left. Rows are made once and then changed in place.

import { element, setText } from "./dom.js";
import * as format from "./format.js";

const PHASES = {
  waiting: "Waiting",
  downloading: "Downloading",
  inspecting: "Reading",
  done: "Done",
  failed: "Failed",
};
// What a file that was not done is called once its task has ended, and while that waits for another worker.
const AFTER_THE_END = { waiting: "Not started", downloading: "Stopped", inspecting: "Stopped" };
const MEANWHILE = { downloading: "Interrupted", inspecting: "Interrupted" };
const NOTHING = {};

export class FilesView {
  constructor(root) {
    this.root = root;
    this.list = root.querySelector("[data-rows]");
    this.summary = root.querySelector("[data-summary]");
    this.rows = [];
    this.files = [];
    this.stopped = NOTHING;
  }

  /** The task has ended: nothing moves any more. */
  end() {
    this.stop(AFTER_THE_END);
  }

  /** The task waits to be started again: nothing moves until more is heard of its files. */
  interrupt() {
    this.stop(MEANWHILE);
  }

  stop(words) {
    this.stopped = words;
    this.show();
  }

  update(files) {
    this.files = files;
    if (this.stopped === MEANWHILE) this.stopped = NOTHING;
    this.show();
  }

  show() {
    const files = this.files;
    this.root.hidden = files.length === 0;
    while (this.rows.length < files.length) {
      const row = new FileRow();
      this.rows.push(row);
      this.list.append(row.node);
    }
    while (this.rows.length > files.length) this.rows.pop().node.remove();
    files.forEach((file, index) => this.rows[index].update(file, this.stopped));
    const inPhase = (phase) => files.filter((file) => file.phase === phase).length;
    const failed = inPhase("failed");
    setText(this.summary, `${inPhase("done")} of ${format.count(files.length, "file")} done${failed ? `, ${failed} failed` : ""}`);
  }
}

class FileRow {
  constructor() {
    this.name = element("span", { class: "file-name" });
    this.phase = element("span", { class: "file-phase" });
    this.fill = element("span", { class: "bar-fill" });
    this.bar = element(
      "span",
      { class: "bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 },
      this.fill,
    );
    this.amount = element("span", { class: "file-amount" });
    this.rate = element("span", { class: "file-rate" });
    this.note = element("span", { class: "file-note" });
    this.node = element("li", { class: "file-row" }, this.name, this.phase, this.bar, this.rate, this.amount, this.note);
  }

  /** ``stopped``: what a phase is called in which nothing moves. */
  update(file, stopped) {
    const { done_bytes: done, total_bytes: total } = file;
    const phase = file.phase in stopped ? "stopped" : file.phase;
    const moving = phase === "downloading" || phase === "inspecting";
    // A failed file's bar is full, of the colour of failures: an empty one says nothing.
    const fraction = phase === "done" || phase === "failed" ? 1 : total ? Math.min(1, done / total) : 0;
    const word = phase === "stopped" ? stopped[file.phase] : (PHASES[phase] ?? phase);
    this.node.dataset.phase = phase;
    setText(this.name, file.name);
    this.name.title = file.name;
    setText(this.phase, word);
    this.fill.style.width = `${fraction * 100}%`;
    this.bar.setAttribute("aria-label", `${word}: ${file.name}`);
    if (moving && !total) this.bar.removeAttribute("aria-valuenow");
    else this.bar.setAttribute("aria-valuenow", String(Math.floor(fraction * 100)));
    this.bar.classList.toggle("is-unknown", moving && !total);
    setText(this.amount, amountOf(phase, done, total));
    setText(this.rate, moving ? rateOf(file) : "");
    setText(this.note, file.note ?? "");
    this.note.hidden = !file.note;
  }
}

function amountOf(phase, done, total) {
  if (phase === "done") return format.bytes(total ?? done);
  if (!done && !total) return "";
  return total ? `${format.bytes(done)} of ${format.bytes(total)}` : format.bytes(done);
}

function rateOf(file) {
  const left = file.seconds_left === null || file.seconds_left === undefined ? "" : `${format.duration(file.seconds_left)} left`;
  return [format.speed(file.bytes_per_second), left].filter(Boolean).join(", ");
}
