// The JSON field: line numbers, a mark on the line of a mistake, indentation with Tab, files by picker or by drop.
// A plain textarea does the editing. Tab indents only until Escape is pressed, so the keyboard is never trapped.

import { lineOf } from "./json_text.js";

const INDENT = "  ";

export class Editor {
  /** @param {HTMLElement} root holds a textarea, [data-gutter] and [data-mark]. */
  constructor(root, { onChange, onFile }) {
    this.root = root;
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

  lineHeight() {
    return parseFloat(getComputedStyle(this.field).lineHeight);
  }

  drawGutter() {
    const lines = this.text.split("\n").length;
    if (lines !== this.lines) {
      this.lines = lines;
      this.gutter.textContent = Array.from({ length: lines }, (_, index) => index + 1).join("\n");
    }
    this.follow();
  }

  follow() {
    const { scrollTop } = this.field;
    this.gutter.style.transform = `translateY(${-scrollTop}px)`;
    this.mark.hidden = this.markedLine === null;
    if (this.markedLine === null) return;
    const padding = parseFloat(getComputedStyle(this.field).paddingTop);
    this.mark.style.transform = `translateY(${padding + (this.markedLine - 1) * this.lineHeight() - scrollTop}px)`;
  }

  key(event) {
    if (event.key === "Escape") this.tabLeaves = true;
    else if (event.key !== "Tab") this.tabLeaves = this.tabLeaves && event.key === "Shift";
    else if (!event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey && !this.tabLeaves) {
      event.preventDefault();
      // The only way to insert text that the browser's own undo knows.
      document.execCommand("insertText", false, INDENT);
    }
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
