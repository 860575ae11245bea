// The numbers that patterns find in the lines of a text that comes in pieces. The server does the same
// (knossos/scripting/calculations/plot.py), with patterns of RE2. A browser means the same by nearly all of these; one
// that it does not understand finds nothing here, and the page has what the server finds.

const MAX_LINE_CHARS = 400;
const MAX_VALUES = 100_000;
/** Milliseconds that the reading of one output may take of a page's time, all in all. */
const READING_MS = 8000;
const NUMBER = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eEdD][+-]?[0-9]+)?$/;

/** A number as programs print it, those of Fortran too; null where it is none. */
export function numberOf(text) {
  const plain = text.trim();
  if (plain.length > MAX_LINE_CHARS || !NUMBER.test(plain)) return null;
  const value = Number(plain.replace(/d/i, "e"));
  return Number.isFinite(value) ? value : null;
}

/** A pattern in the words of browsers, whole characters where it may be; null where they have no words for it. */
function patternOf(source) {
  for (const flags of ["u", ""]) {
    try {
      return new RegExp(source, flags);
    } catch {
      // The next one is less strict.
    }
  }
  return null;
}

export class LineValues {
  /** @param {string[]} sources of the patterns */
  constructor(sources) {
    this.patterns = sources.map(patternOf);
    this.clear();
  }

  /** What was read counts no more. */
  clear() {
    this.lines = this.patterns.map(() => []);
    this.begun = "";
    this.spent = 0;
    this.cut = false;
  }

  /** Read a piece; it may begin and end within a line. */
  add(text) {
    if (this.cut) return;
    const started = performance.now();
    const [first, ...others] = text.split(/[\r\n]/);
    this.begun = (this.begun + first.slice(0, MAX_LINE_CHARS)).slice(0, MAX_LINE_CHARS);
    for (const other of others) {
      this.read(this.begun);
      this.begun = other.slice(0, MAX_LINE_CHARS);
      if (performance.now() - started + this.spent > READING_MS) {
        this.cut = true;
        break;
      }
    }
    this.spent += performance.now() - started;
  }

  /** Nothing more will come: what was begun is a line. */
  end() {
    if (this.begun) this.read(this.begun);
    this.begun = "";
  }

  read(line) {
    this.patterns.forEach((pattern, index) => {
      const found = pattern?.exec(line)?.[1];
      const value = found === undefined ? null : numberOf(found);
      const points = this.lines[index];
      if (value !== null && points.length < MAX_VALUES) points.push([points.length + 1, value]);
    });
  }
}
