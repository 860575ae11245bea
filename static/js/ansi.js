// Terminal output as text with classes. Pure: text in, pieces {text, classes} out; nothing here makes markup.
// Colours and styles (SGR) become classes, all else that a terminal would obey is dropped. Colours beyond the sixteen
// become the nearest of these, which have a readable value in each theme.

/** The sixteen colours as terminals have them, to find the nearest. */
const PALETTE = [
  [0, 0, 0], [187, 0, 0], [0, 187, 0], [187, 187, 0], [0, 0, 187], [187, 0, 187], [0, 187, 187], [187, 187, 187],
  [85, 85, 85], [255, 85, 85], [85, 255, 85], [255, 255, 85], [85, 85, 255], [255, 85, 255], [85, 255, 255], [255, 255, 255],
];
const FLAGS = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike" };
const OFF = { 21: ["bold"], 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["inverse"], 29: ["strike"] };

const ESC = "\u001b";
// One whole sequence: CSI, a string (OSC, DCS, ...) up to its end, or a short one.
const SEQUENCE = /^(?:\u001b\[[0-?]*[ -/]*[@-~]|\u001b[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[ -/]*[0-OQ-WYZ\\`-~])/;
/** A sequence that has not ended after so many characters is none. */
const LONGEST = 4096;
// Control characters but tab and line ends, also those of eight bits.
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001a\u001c-\u001f\u007f-\u009f]/g;

/** Reads one stream, in pieces that may end anywhere. */
export class AnsiReader {
  constructor() {
    this.rest = "";
    this.flags = new Set();
    this.foreground = null;
    this.background = null;
  }

  /** The pieces of some more text: {text, classes}. Line ends stay in the texts. */
  read(more) {
    const pieces = [];
    let text = this.rest + more;
    this.rest = "";
    while (text) {
      const at = text.indexOf(ESC);
      const plain = (at < 0 ? text : text.slice(0, at)).replace(CONTROLS, "");
      if (plain) pieces.push({ text: plain, classes: this.classes() });
      if (at < 0) break;
      text = text.slice(at);
      const [sequence] = SEQUENCE.exec(text) ?? [];
      if (sequence) {
        if (sequence.startsWith(`${ESC}[`) && sequence.endsWith("m")) this.style(sequence.slice(2, -1));
        text = text.slice(sequence.length);
      } else if (mayGoOn(text)) {
        this.rest = text;
        break;
      } else {
        text = text.slice(1);
      }
    }
    return pieces;
  }

  classes() {
    const found = [...this.flags].map((flag) => `ansi-${flag}`);
    if (this.foreground !== null) found.push(`ansi-fg-${this.foreground}`);
    if (this.background !== null) found.push(`ansi-bg-${this.background}`);
    return found.join(" ");
  }

  style(parameters) {
    // Private ones (">4;2m") are not about style.
    if (/[^0-9;:]/.test(parameters)) return;
    const codes = parameters.split(/[;:]/).map(Number);
    while (codes.length > 0) this.one(codes.shift(), codes);
  }

  one(code, following) {
    if (code === 0) {
      this.flags.clear();
      this.foreground = this.background = null;
    } else if (FLAGS[code]) this.flags.add(FLAGS[code]);
    else if (OFF[code]) for (const flag of OFF[code]) this.flags.delete(flag);
    else if (code >= 30 && code <= 37) this.foreground = code - 30;
    else if (code >= 90 && code <= 97) this.foreground = code - 82;
    else if (code === 39) this.foreground = null;
    else if (code >= 40 && code <= 47) this.background = code - 40;
    else if (code >= 100 && code <= 107) this.background = code - 92;
    else if (code === 49) this.background = null;
    else if (code === 38) this.foreground = extended(following);
    else if (code === 48) this.background = extended(following);
  }
}

function mayGoOn(text) {
  if (text.length > LONGEST) return false;
  return /^\u001b(?:$|\[[0-?]*[ -/]*$|[\]PX^_][^\u0007\u001b]*\u001b?$|[ -/]*$)/.test(text);
}

/** A colour that takes several codes: 5 and its number, or 2 and three amounts. What is neither is no colour. */
function extended(codes) {
  const kind = codes.shift();
  if (kind === 5) return ofNumber(codes.shift());
  if (kind === 2) return nearest(codes.splice(0, 3));
  // How many codes belong to another kind nobody knows.
  codes.length = 0;
  return null;
}

function ofNumber(number) {
  if (!(number >= 0 && number <= 255)) return null;
  if (number < 16) return number;
  if (number >= 232) return nearest(Array(3).fill(8 + 10 * (number - 232)));
  const level = (amount) => (amount === 0 ? 0 : 55 + 40 * amount);
  const cube = number - 16;
  return nearest([level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)]);
}

function nearest(colour) {
  if (colour.length < 3) return null;
  const distances = PALETTE.map((known) => known.reduce((sum, amount, at) => sum + (amount - colour[at]) ** 2, 0));
  return distances.indexOf(Math.min(...distances));
}
