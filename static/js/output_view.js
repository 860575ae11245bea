// What a run writes, as it writes it: lines of standard output and standard error in the order they came, each line
// marked with its stream. Added once per frame, however much arrives; only the last lines are kept on the page.

import { AnsiReader } from "./ansi.js";
import { element, setText, show } from "./dom.js";
import * as format from "./format.js";
import { GrowingList } from "./growing_list.js";

const MOST_LINES = 20000;
const BLOCK_LINES = 200;
// Longer lines go on in the next row: a browser lays out a line as a whole.
const LONGEST_LINE = 8000;
// So long a frame may work; longer where much waits, since then it is the end that is looked for.
const MILLISECONDS_PER_FRAME = 12;
const MUCH = 400;
const MILLISECONDS_WHERE_MUCH_WAITS = 40;
const PIECE_CHARS = 8192;
const MARKS = { stdout: "out", stderr: "err" };

export class OutputView extends GrowingList {
  /** @param {HTMLElement} root with the markup of templates/scripts/output.html */
  constructor(root) {
    super(root);
    this.root = root;
    this.choice = root.querySelector("[data-streams]");
    this.waiting = [];
    this.streams = {};
    this.blocks = [];
    this.total = 0;
    this.dropped = 0;
    this.frame = 0;
    this.ended = false;
    this.choice?.addEventListener("change", () => this.choose());
    if (this.choice) this.list.dataset.show = this.choice.value;
    this.count();
  }

  /** Add text of a stream; it may begin and end in the middle of a line. */
  add(stream, text) {
    for (let at = 0; at < text.length; at += PIECE_CHARS) this.waiting.push([stream, text.slice(at, at + PIECE_CHARS)]);
    this.schedule();
  }

  /** Say something between the lines. */
  note(text) {
    this.waiting.push([null, text]);
    this.schedule();
  }

  /** Nothing more will come. */
  end() {
    this.ended = true;
    this.schedule();
  }

  schedule() {
    this.frame ||= window.requestAnimationFrame(() => this.flush());
  }

  flush() {
    this.frame = 0;
    const until = performance.now() + (this.waiting.length > MUCH ? MILLISECONDS_WHERE_MUCH_WAITS : MILLISECONDS_PER_FRAME);
    let taken = 0;
    while (taken < this.waiting.length && performance.now() < until) {
      const [stream, text] = this.waiting[taken];
      taken += 1;
      if (stream === null) this.append(element("div", { class: "out-line is-note" }, text));
      else this.write(stream, text);
    }
    this.waiting.splice(0, taken);
    this.count();
    if (this.following) this.toEnd();
    if (this.waiting.length > 0) this.schedule();
  }

  write(name, text) {
    this.streams[name] ??= { reader: new AnsiReader(), text: null, chars: 0, returned: false };
    const stream = this.streams[name];
    for (const piece of stream.reader.read(text)) {
      for (const part of piece.text.split(/(\r?\n|\r)/)) this.put(name, stream, part, piece.classes);
    }
  }

  put(name, stream, part, classes) {
    if (part === "") return;
    if (part === "\r") {
      stream.returned = true;
      return;
    }
    if (part === "\n" || part === "\r\n") {
      // An empty line is a line, too.
      if (!stream.text) this.begin(name, stream);
      stream.text = null;
      stream.returned = false;
      return;
    }
    // What comes after a carriage return takes the place of the line: a bar of progress.
    if (stream.returned && stream.text) {
      stream.text.replaceChildren();
      stream.chars = 0;
    }
    stream.returned = false;
    if (!stream.text || stream.chars > LONGEST_LINE) this.begin(name, stream);
    stream.chars += part.length;
    stream.text.append(classes ? element("span", { class: classes }, part) : part);
  }

  begin(name, stream) {
    stream.text = element("span", { class: "out-text" });
    stream.chars = 0;
    const mark = element("span", { class: "out-mark" }, MARKS[name] ?? name);
    this.append(element("div", { class: "out-line", "data-stream": name }, mark, stream.text));
  }

  append(row) {
    if (this.total % BLOCK_LINES === 0) {
      this.blocks.at(-1)?.classList.add("is-full");
      this.blocks.push(element("div", { class: "out-block" }));
      this.list.append(this.blocks.at(-1));
    }
    this.total += 1;
    this.blocks.at(-1).append(row);
    if (this.total - this.dropped > MOST_LINES) this.dropBlock();
  }

  dropBlock() {
    const block = this.blocks.shift();
    this.dropped += block.children.length;
    block.remove();
    this.cut ??= this.list.insertBefore(element("div", { class: "out-line is-note" }), this.list.firstChild);
    setText(this.cut, `${format.count(this.dropped, "line")} before this are not shown here; the download has them`);
  }

  choose() {
    this.list.dataset.show = this.choice.value;
    this.count();
    if (this.following) this.toEnd();
  }

  count() {
    setText(this.counter, this.total > 0 ? format.count(this.total, "line") : "");
    const shown = this.list.dataset.show;
    const selector = shown && shown !== "both" ? `.out-line[data-stream="${shown}"]` : ".out-line";
    const isEmpty = this.total === 0 || !this.list.querySelector(selector);
    const words = this.total > 0 ? "Nothing of this kind was written." : "Nothing was written.";
    setText(this.empty, this.ended ? words : "Nothing has been written yet.");
    show(this.empty, isEmpty && this.waiting.length === 0);
  }
}
