// What each field of a form takes: the rules of knossos/scripting/form_values.py and forms.py, in the same words. Pure.
// A test asks both about the same values.

const MAX_INTEGER = Number.MAX_SAFE_INTEGER;
const MAX_NUMBER = 1e15;
const MAX_CHARS = 10000;
const MAX_ROWS = 100;
const STEP_TOLERANCE = 1e-9;
const FORM_NAME = "form.json";
const BLANK = /^[ \t\r\n]*$/;
const WHOLE = /^ *[+-]?[0-9]{1,16} *$/;
const NUMBER = /^ *[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})? *$/;
const DAY = /^([0-9]{4})-([0-9]{2})-([0-9]{2})$/;

const TYPES = ["text", "textarea", "integer", "double", "date", "checkbox", "select", "file", "group"];

class WrongValue extends Error {}

/** A description with all that it may leave out, as the functions of this folder want it. */
export function normalise(field) {
  const where = `The field ${JSON.stringify(field.name)} of the form`;
  if (!TYPES.includes(field.type)) throw new TypeError(`${where}: type: expected one of ${TYPES.join(", ")}, not ${field.type}`);
  if (field.type === "group" && !Array.isArray(field.fields)) throw new TypeError(`${where}: fields: expected a list`);
  if (field.type === "select" && !Array.isArray(field.options)) throw new TypeError(`${where}: options: expected a list`);
  const value = field.value ?? field.default ?? null;
  const found = { ...field, label: field.label || field.name, value };
  if (field.repeat) found.repeat = { label: field.repeat.label, min: field.repeat.min ?? 0, max: field.repeat.max ?? MAX_ROWS };
  if (field.type === "group") found.fields = field.fields.map(normalise);
  if (field.type === "select") {
    const options = field.options.map((one) => (typeof one === "string" ? { value: one } : one));
    found.options = options.map((one) => ({ value: one.value, label: one.label || one.value }));
  }
  return found;
}

/** How many rows a list has at least: one that is required has one. */
export function least(field) {
  return Math.max(field.repeat?.min ?? 0, field.required ? 1 : 0);
}

/** The values as the script gets them, and what is wrong with them: [{path, message}]. Fields are normalised. */
export function check(fields, values, fileNames) {
  const state = { errors: [], names: new Set(fileNames), used: new Set() };
  return { values: checkGroup(state, fields, values, ""), errors: state.errors };
}

function checkGroup(state, fields, sent, path) {
  const values = sent ?? {};
  if (typeof values !== "object" || Array.isArray(values)) {
    wrong(state, path, "Expected values by the names of their fields.");
    return {};
  }
  const known = new Set(fields.map((field) => field.name));
  for (const name of Object.keys(values)) {
    if (!known.has(name)) wrong(state, below(path, name), "There is no such field.");
  }
  const own = (name) => (Object.hasOwn(values, name) ? values[name] : null);
  return Object.fromEntries(
    fields.map((field) => [field.name, checkField(state, field, own(field.name), below(path, field.name))]),
  );
}

function checkField(state, field, sent, path) {
  if (!field.repeat) return checkOne(state, field, sent, path);
  const rows = sent ?? [];
  if (!Array.isArray(rows)) {
    wrong(state, path, "Expected a list.");
    return [];
  }
  const numbered = [...rows.entries()].filter(([, row]) => field.required || !isIdle(field, row));
  if (numbered.length < least(field)) wrong(state, path, `At least ${least(field)} of these.`);
  if (numbered.length > field.repeat.max) {
    wrong(state, path, `At most ${field.repeat.max} of these.`);
    return [];
  }
  return numbered.map(([number, row]) => checkOne(state, field, row, below(path, String(number))));
}

function checkOne(state, field, sent, path) {
  if (field.type === "group") return checkGroup(state, field.fields, sent, path);
  try {
    const value = valueOf(field, sent, state.names);
    if (field.type === "file") use(state, value);
    return value;
  } catch (error) {
    if (!(error instanceof WrongValue)) throw error;
    wrong(state, path, error.message);
    return null;
  }
}

// Files lie side by side, so no two of them have the same name.
function use(state, value) {
  for (const name of value === null ? [] : [value].flat()) {
    if (state.used.has(name)) refuse(`Another file of this form is called ${name}, too: give one of them another name.`);
    state.used.add(name);
  }
}

function isIdle(field, row) {
  return field.type !== "group" && field.type !== "checkbox" && isEmpty(row);
}

function isEmpty(value) {
  return value === null || value === undefined || (Array.isArray(value) && value.length === 0) || isBlank(value);
}

function isBlank(value) {
  return typeof value === "string" && BLANK.test(value);
}

function valueOf(field, sent, names) {
  if (field.type === "checkbox") return ticked(field, sent);
  if (isEmpty(sent)) return nothing(field, sent);
  return KINDS[field.type](field, sent, names);
}

const KINDS = { text, textarea: text, integer, double, date, select: choice, file: files };
const NEEDED = { select: "Choose one of these.", file: "Choose a file." };

function nothing(field, sent) {
  if (field.required) refuse(NEEDED[field.type] ?? "Fill this in.");
  if (field.type === "text" || field.type === "textarea") return typeof sent === "string" && sent ? text(field, sent) : "";
  return field.multiple ? [] : null;
}

function ticked(field, sent) {
  if (![null, undefined, "", false, true, "on", "true", "false"].includes(sent)) refuse("Expected yes or no.");
  const value = [true, "on", "true"].includes(sent);
  if (field.required && !value) refuse("This has to be ticked.");
  return value;
}

function text(field, sent) {
  if (typeof sent !== "string") refuse("Expected a text.");
  const found = sent.replaceAll("\r\n", "\n");
  if (found.includes("\0") || /\p{Surrogate}/u.test(found)) refuse("This holds a character that no text has.");
  if (field.type === "text" && /[\r\n]/.test(found)) refuse("This has to be one line.");
  const most = field.max_length ?? MAX_CHARS;
  if ([...found].length > most) refuse(`At most ${most} characters.`);
  if (field.pattern && !isBlank(found) && !matches(field.pattern, found)) refuse("This does not have the form that is expected.");
  return found;
}

// What this browser cannot read as a pattern, the server looks at.
function matches(pattern, value) {
  try {
    return new RegExp(`^(?:${pattern})$`, "u").test(value);
  } catch {
    return true;
  }
}

function isNumber(sent) {
  return typeof sent === "number" && Math.abs(sent) < 1e300;
}

function integer(field, sent) {
  const isText = typeof sent === "string" && WHOLE.test(sent);
  if (!isText && !(isNumber(sent) && Number.isInteger(sent))) refuse("Expected a whole number, such as 3.");
  return inRange(Number(sent), field, MAX_INTEGER);
}

function double(field, sent) {
  const isText = typeof sent === "string" && NUMBER.test(sent);
  if (!isText && !isNumber(sent)) refuse("Expected a number, such as 2.5.");
  return inRange(Number(sent), field, MAX_NUMBER);
}

function inRange(number, { min, max, step }, most) {
  const low = min ?? -most;
  const high = max ?? most;
  if (number < low) refuse(`At least ${low}.`);
  if (number > high) refuse(`At most ${high}.`);
  if (step) {
    const steps = (number - (min ?? 0)) / step;
    const apart = Math.abs(steps - Math.floor(steps + 0.5));
    if (apart > STEP_TOLERANCE * Math.max(1, Math.abs(steps))) refuse(`In steps of ${step}, counted from ${min ?? 0}.`);
  }
  // There is no -0 in the values.
  return number + 0;
}

function date(field, sent) {
  if (typeof sent !== "string" || !isDay(sent)) refuse("Expected a day, such as 2024-05-31.");
  if (field.min && sent < field.min) refuse(`Not before ${field.min}.`);
  if (field.max && sent > field.max) refuse(`Not after ${field.max}.`);
  return sent;
}

function isDay(value) {
  const [, year, month, day] = (DAY.exec(value) ?? []).map(Number);
  if (!year) return false;
  const found = new Date(0);
  found.setUTCFullYear(year, month - 1, day);
  return found.getUTCMonth() === month - 1 && found.getUTCDate() === day;
}

function choice(field, sent) {
  const known = new Set(field.options.map((option) => option.value));
  const chosen = [sent].flat();
  if (chosen.some((one) => !known.has(one)) || (chosen.length > 1 && !field.multiple)) refuse(NEEDED.select);
  return field.multiple ? [...new Set(chosen)] : chosen[0];
}

function files(field, sent, names) {
  const chosen = [sent].flat();
  if (chosen.some((name) => !names.has(name))) refuse(NEEDED.file);
  if (chosen.length > 1 && !field.multiple) refuse("Choose one file only.");
  const accepted = (field.accept ?? "").split(",").map((token) => token.trim().toLowerCase()).filter(Boolean);
  const endings = accepted.every((token) => token.startsWith(".")) ? accepted : [];
  for (const name of chosen) {
    if (endings.length > 0 && !endings.some((ending) => name.toLowerCase().endsWith(ending))) {
      refuse(`Expected a file whose name ends in ${endings.join(" or ")}.`);
    }
    if (name === FORM_NAME) refuse(`A file of a form cannot be called ${FORM_NAME}: give it another name.`);
  }
  return field.multiple ? chosen : chosen[0];
}

export function below(path, name) {
  return path ? `${path}.${name}` : name;
}

function wrong(state, path, message) {
  state.errors.push({ path, message });
}

function refuse(message) {
  throw new WrongValue(message);
}
