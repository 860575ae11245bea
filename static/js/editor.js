// The field for a description or a script: line numbers, a mark on the line of a mistake, indentation with Tab, files by
// picker or by drop. A plain textarea does the editing. Tab indents only until Escape is pressed, so the keyboard is
// never trapped. Only the numbers that are seen are drawn, however long the text.

import { lineOf } from "./json_text.js";

export class Editor {
  /**
   * @param {HTMLElement} root holds a textarea, [data-gutter] and [data-mark].
   * @param {string} indent what Tab inserts
   * @param {boolean} keepsIndent whether a new line begins where the one before it does
   */
  constructor(root, { onChange, onFile, indent = "  ", keepsIndent = false }) {
    Object.assign(this, { root, indent, keepsIndent });
    this.field = root.querySelector("textarea");
    this.gutter = root.querySelector("[data-gutter]");
    this.mark = root.querySelector("[data-mark]");
    this.lines = 0;
    this.markedLine = null;
    this.tabLeaves = false;
    this.field.addEventListener("input", () => {
      this.drawGutter();
      onChange();
    });
    this.field.addEventListener("scroll", () => this.follow());
    this.field.addEventListener("keydown", (event) => this.key(event));
    this.field.addEventListener("blur", () => (this.tabLeaves = false));
    this.acceptDrops(onFile);
    new ResizeObserver(() => this.follow()).observe(this.field);
    this.drawGutter();
  }

  get text() {
    return this.field.value;
  }

  set text(text) {
    this.field.value = text;
    this.field.setSelectionRange(0, 0);
    this.field.scrollTop = 0;
    this.field.dispatchEvent(new Event("input"));
  }

  /** Mark the line at an offset, or none with null. */
  markAt(offset) {
    this.markedLine = offset === null ? null : lineOf(this.text, offset);
    this.field.setAttribute("aria-invalid", String(offset !== null));
    this.follow();
  }

  /** Bring an offset into view and put the cursor there. */
  goTo(offset) {
    const end = this.text.indexOf("\n", offset);
    this.field.focus();
    this.field.setSelectionRange(offset, end === -1 ? this.text.length : end);
    this.reveal(offset);
  }

  /** Bring an offset into view and mark its line; the cursor stays where it is. */
  reveal(offset) {
    this.field.scrollTop = Math.max(0, (lineOf(this.text, offset) - 4) * this.lineHeight());
    this.field.scrollLeft = 0;
    this.markAt(offset);
  }

  /** Pixels from one line to the next, as the browser has laid them out: over many lines fractions add up. */
  lineHeight() {
    const style = getComputedStyle(this.field);
    const padding = parseFloat(style.paddingTop) + parseFloat(style.paddingBottom);
    const { scrollHeight, clientHeight } = this.field;
    return scrollHeight > clientHeight ? (scrollHeight - padding) / this.lines : parseFloat(style.lineHeight);
  }

  drawGutter() {
    this.lines = countLines(this.text);
    this.gutter.style.minWidth = `calc(${String(this.lines).length}ch + 1.2rem)`;
    this.follow();
  }

  follow() {
    const { scrollTop, clientHeight } = this.field;
    const [height, padding] = [this.lineHeight(), parseFloat(getComputedStyle(this.field).paddingTop)];
    const first = Math.max(0, Math.floor((scrollTop - padding) / height));
    const count = Math.min(this.lines - first, Math.ceil(clientHeight / height) + 2);
    const numbers = Array.from({ length: count }, (_, index) => first + index + 1).join("\n");
    if (this.gutter.textContent !== numbers) this.gutter.textContent = numbers;
    this.gutter.style.transform = `translateY(${first * height - scrollTop}px)`;
    this.mark.hidden = this.markedLine === null;
    if (this.markedLine === null) return;
    this.mark.style.transform = `translateY(${padding + (this.markedLine - 1) * height - scrollTop}px)`;
  }

  key(event) {
    const plain = !event.ctrlKey && !event.altKey && !event.metaKey && !event.isComposing;
    if (event.key === "Escape") this.tabLeaves = true;
    else if (event.key !== "Tab") {
      this.tabLeaves = this.tabLeaves && event.key === "Shift";
      if (event.key === "Enter" && this.keepsIndent && plain && !event.shiftKey) this.newLine(event);
    } else if (plain && !this.tabLeaves) this.tab(event);
  }

  /** Indent: at the cursor, or all lines of a selection of several, which Shift moves back. Else Shift+Tab leaves. */
  tab(event) {
    const { selectionStart: start, selectionEnd: end, value } = this.field;
    const severalLines = value.slice(start, end).includes("\n");
    if (event.shiftKey && !severalLines) return;
    event.preventDefault();
    if (!severalLines) {
      insert(this.indent);
      return;
    }
    const from = value.lastIndexOf("\n", start - 1) + 1;
    // A selection that ends where a line begins has nothing of that line.
    const to = value[end - 1] === "\n" ? end - 1 : end;
    const lines = value.slice(from, to).split("\n");
    const moved = event.shiftKey
      ? lines.map((line) => (line.startsWith(this.indent) ? line.slice(this.indent.length) : line.replace(/^[ \t]/, "")))
      : lines.map((line) => (line === "" ? "" : this.indent + line));
    const text = moved.join("\n");
    this.field.setSelectionRange(from, to);
    insert(text);
    this.field.setSelectionRange(from, from + text.length);
  }

  newLine(event) {
    const { selectionStart: start, value } = this.field;
    const [indent] = /^[ \t]*/.exec(value.slice(value.lastIndexOf("\n", start - 1) + 1, start));
    if (indent === "") return;
    event.preventDefault();
    insert(`\n${indent}`);
  }

  acceptDrops(onFile) {
    const over = (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      this.root.classList.add("is-drop-target");
    };
    this.root.addEventListener("dragenter", over);
    this.root.addEventListener("dragover", over);
    this.root.addEventListener("dragleave", (event) => {
      if (!this.root.contains(event.relatedTarget)) this.root.classList.remove("is-drop-target");
    });
    this.root.addEventListener("drop", (event) => {
      this.root.classList.remove("is-drop-target");
      const [file] = event.dataTransfer?.files ?? [];
      if (!file) return;
      event.preventDefault();
      onFile(file);
    });
  }
}

/** The only way to put in text that the browser's own undo knows. */
function insert(text) {
  document.execCommand("insertText", false, text);
}

function countLines(text) {
  let lines = 1;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) lines += 1;
  return lines;
}
