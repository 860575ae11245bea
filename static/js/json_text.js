// A reader of JSON that knows where everything stands: for each path its place in the text, and for a mistake
// its place and what was expected there. Used for messages only; values come from JSON.parse.

export class JsonProblem extends Error {
  constructor(message, offset) {
    super(message);
    this.offset = offset;
  }
}

const MAX_DEPTH = 500;
const WHITE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;

/** The first mistake of a text as a JsonProblem, or null. */
export function findProblem(text) {
  if (text.trim() === "") return new JsonProblem("There is nothing here yet.", 0);
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    try {
      new Reader(text).read();
    } catch (problem) {
      if (problem instanceof JsonProblem) return problem;
    }
    return new JsonProblem(error.message, 0);
  }
}

/** Offsets of all values of a well-formed text by path ("mods.0.version"); "" is the whole. */
export function positions(text) {
  const reader = new Reader(text);
  reader.read();
  return reader.positions;
}

/** The offset for a path, or that of its nearest parent where the path itself is not in the text. */
export function offsetOf(places, path) {
  let parts = path === "" ? [] : path.split(".");
  // A description of one bare mod is checked as a list of one.
  if (!places.has("mods") && parts[0] === "mods") parts = parts.slice(2);
  while (parts.length > 0 && !places.has(parts.join("."))) parts = parts.slice(0, -1);
  return places.get(parts.join(".")) ?? 0;
}

/** The number of the line, from 1, in which an offset lies. */
export function lineOf(text, offset) {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < offset; at = text.indexOf("\n", at + 1)) line += 1;
  return line;
}

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.positions = new Map();
  }

  read() {
    this.value("", 0);
    this.skipWhite();
    if (this.at < this.text.length) this.fail("Expected nothing more after the end of the JSON value.");
  }

  value(path, depth) {
    this.skipWhite();
    if (depth > MAX_DEPTH) this.fail("This is nested too deeply.");
    this.positions.set(path, this.at);
    const letter = this.text[this.at];
    if (letter === "{") this.object(path, depth);
    else if (letter === "[") this.array(path, depth);
    else if (letter === '"') this.string();
    else if (letter === "'") this.fail('Expected a value; texts stand in double quotes (").');
    else if (letter === undefined) this.fail("Expected a value, but the text ends here.");
    else if (!["true", "false", "null"].some((word) => this.word(word))) this.number();
  }

  object(path, depth) {
    this.at += 1;
    if (this.skip("}")) return;
    for (;;) {
      this.skipWhite();
      if (this.text[this.at] !== '"') this.fail(this.noKey());
      const key = this.string();
      if (!this.skip(":")) this.fail(`Expected ':' after the name "${key}".`);
      this.value(path === "" ? key : `${path}.${key}`, depth + 1);
      if (this.skip("}")) return;
      if (!this.skip(",")) this.fail("Expected ',' or '}' here. Is a comma missing before this?");
    }
  }

  array(path, depth) {
    this.at += 1;
    if (this.skip("]")) return;
    for (let index = 0; ; index += 1) {
      this.skipWhite();
      if (this.text[this.at] === "]") this.fail("Expected another value: there is a comma before this ']'.");
      this.value(path === "" ? String(index) : `${path}.${index}`, depth + 1);
      if (this.skip("]")) return;
      if (!this.skip(",")) this.fail("Expected ',' or ']' here. Is a comma missing before this?");
    }
  }

  noKey() {
    const letter = this.text[this.at];
    if (letter === "}") return "Expected another name: there is a comma before this '}'.";
    if (letter === undefined) return "Expected '}', but the text ends here.";
    return 'Expected a name in double quotes (").';
  }

  string() {
    const found = this.match(STRING);
    if (found === null) this.fail("This text does not end, or holds a line break or a wrong escape (\\).");
    return JSON.parse(found);
  }

  number() {
    if (this.match(NUMBER) === null) this.fail("Expected a value: a text in double quotes, a number, true, false, null, { or [.");
  }

  word(word) {
    if (!this.text.startsWith(word, this.at)) return false;
    this.at += word.length;
    return true;
  }

  skip(letter) {
    this.skipWhite();
    if (this.text[this.at] !== letter) return false;
    this.at += 1;
    return true;
  }

  skipWhite() {
    WHITE.lastIndex = this.at;
    WHITE.test(this.text);
    this.at = WHITE.lastIndex;
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found === null) return null;
    this.at = pattern.lastIndex;
    return found[0];
  }

  fail(message) {
    throw new JsonProblem(message, this.at);
  }
}
