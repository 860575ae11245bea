// What a form does in the browser, whether the server rendered it or build.js: rows come and go, and what is wrong is
// said at its field before anything is sent.

import { element } from "../dom.js";
import { rowView } from "./build.js";
import { below, check, least, normalise } from "./check.js";

/**
 * Let a form behave.
 * @param {HTMLFormElement} form with the fields of `config`
 * @param {{fields: object[]}} config a description, as form_elements has it
 * @param {(found: {values: object, files: File[]}, event: SubmitEvent) => void} onSend called with what passed
 */
export function enhance(form, config, onSend = () => undefined) {
  const fields = config.fields.map(normalise);
  form.noValidate = true;
  for (const list of form.querySelectorAll("[data-repeat]")) limit(list, fieldAt(fields, list.dataset.repeat));
  form.addEventListener("click", (event) => {
    const button = event.target.closest?.("button");
    if (button?.name === ":add" || button?.name === ":remove") {
      event.preventDefault();
      if (button.name === ":add") addRow(form, fields, button.value);
      else removeRow(form, fields, button);
    }
  });
  form.addEventListener("input", ({ target }) => mended(form, target.name));
  form.addEventListener("submit", (event) => {
    const found = read(form, fields);
    const { values, errors } = check(fields, found.values, found.files.map((file) => file.name));
    showErrors(form, errors);
    if (errors.length > 0) event.preventDefault();
    else onSend({ values, files: found.files }, event);
  });
}

// --- what is filled in --------------------------------------------------------------------------

function read(form, fields) {
  const files = [];
  return { values: readGroup(form, fields, "", files), files };
}

function readGroup(form, fields, path, files) {
  return Object.fromEntries(fields.map((field) => [field.name, readField(form, field, below(path, field.name), files)]));
}

function readField(form, field, path, files) {
  if (!field.repeat) return readOne(form, field, path, files);
  const count = rowsOf(form, path).children.length;
  return Array.from({ length: count }, (_, number) => readOne(form, field, below(path, String(number)), files));
}

function readOne(form, field, path, files) {
  if (field.type === "group") return readGroup(form, field.fields, path, files);
  if (field.type === "select" && field.multiple) {
    return inputs(form, path).filter((input) => input.checked).map((input) => input.value);
  }
  // A row of a list has a hidden field of the same name before it.
  const input = inputs(form, path).at(-1);
  if (field.type === "checkbox") return input.checked;
  if (field.type === "file") {
    files.push(...input.files);
    return [...input.files].map((file) => file.name);
  }
  // What the browser does not take for a day it keeps to itself.
  return input.validity.badInput ? "?" : input.value;
}

function inputs(form, path) {
  return [...form.querySelectorAll(`[name="${CSS.escape(path)}"]`)];
}

// --- rows ---------------------------------------------------------------------------------------

function rowsOf(form, path) {
  return form.querySelector(`[data-repeat="${CSS.escape(path)}"] > [data-rows]`);
}

function fieldAt(fields, path) {
  let found = { fields };
  for (const part of path.split(".")) {
    if (!/^\d+$/.test(part)) found = found.fields.find((field) => field.name === part);
  }
  return found;
}

function addRow(form, fields, path) {
  const field = fieldAt(fields, path);
  const rows = rowsOf(form, path);
  if (rows.children.length >= field.repeat.max) return;
  const row = rowView(field, path, rows.children.length);
  rows.append(row);
  for (const list of row.querySelectorAll("[data-repeat]")) limit(list, fieldAt(fields, list.dataset.repeat));
  limit(rows.parentElement, field);
  row.querySelector("input:not([type=hidden]), select, textarea")?.focus();
}

function removeRow(form, fields, button) {
  const row = button.closest("[data-row]");
  const list = row.closest("[data-repeat]");
  const path = list.dataset.repeat;
  const rows = rowsOf(form, path);
  const number = [...rows.children].indexOf(row);
  row.remove();
  for (let later = number; later < rows.children.length; later += 1) renumber(rows.children[later], path, later + 1, later);
  limit(list, fieldAt(fields, path));
  // The focus goes to what has taken its place, or to the button that adds.
  const next = rows.children[Math.min(number, rows.children.length - 1)];
  const buttons = [...(next?.querySelectorAll("button[name=':remove']") ?? [])];
  const target = buttons.find((one) => one.closest("[data-row]") === next && !one.hidden);
  (target ?? list.querySelector(":scope > button")).focus();
}

const WITH_PATHS = ["name", "id", "for", "value", "aria-describedby", "data-place", "data-repeat"];

// All that has the row's number in it gets the new one; what was typed and chosen stays.
function renumber(row, path, from, to) {
  const old = below(path, String(from));
  const now = below(path, String(to));
  for (const node of [row, ...row.querySelectorAll("*")]) {
    for (const name of WITH_PATHS) {
      const text = node.getAttribute(name);
      if (text === null || (name === "value" && node.localName !== "button")) continue;
      const changed = text.split(" ").map((word) => moved(word, old, now)).join(" ");
      if (changed !== text) node.setAttribute(name, changed);
    }
    if (node.dataset.rowName !== undefined && node.closest("[data-row]") === row) {
      node.textContent = `${node.dataset.rowName} ${to + 1}`;
    }
  }
}

function moved(word, old, now) {
  for (const prefix of ["", "f-"]) {
    const begin = prefix + old;
    if (word === begin || word.startsWith(`${begin}.`) || word.startsWith(`${begin}-`)) {
      return prefix + now + word.slice(begin.length);
    }
  }
  return word;
}

function limit(list, field) {
  const rows = list.querySelector(":scope > [data-rows]");
  const count = rows.children.length;
  list.querySelector(":scope > button").hidden = count >= field.repeat.max;
  for (const row of rows.children) {
    for (const button of row.querySelectorAll("button[name=':remove']")) {
      if (button.closest("[data-row]") === row) button.hidden = count <= least(field);
    }
  }
}

// --- what is wrong ------------------------------------------------------------------------------

/** Say at each field what is wrong with it, and above the form how much is; the focus goes to the first. */
export function showErrors(form, errors) {
  form.querySelector("[data-summary]")?.remove();
  for (const line of form.querySelectorAll("[data-error]")) line.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  for (const list of form.querySelectorAll("[data-wrong]")) delete list.dataset.wrong;
  const elsewhere = errors.filter(({ path, message }) => !markField(form, path, message));
  if (errors.length === 0) return;
  const count = errors.length === 1 ? "One field is to be put right." : `${errors.length} fields are to be put right.`;
  const text = elsewhere.length > 0 ? elsewhere.map(({ message }) => message).join(" ") : count;
  form.prepend(element("p", { class: "form-error", role: "alert", "data-summary": true }, text));
  form.querySelector("[aria-invalid], [data-wrong]")?.focus();
}

function markField(form, path, message) {
  const place = form.querySelector(`[data-place="${CSS.escape(path)}"]`);
  if (!place) return false;
  const line = element("p", { class: "field-error", id: `f-${path}-error`, "data-error": true }, message);
  const help = document.getElementById(`f-${path}-help`);
  if (place.matches("fieldset.form-group")) place.querySelector(":scope > [data-rows]").before(line);
  else if (help && place.contains(help)) help.before(line);
  else place.append(line);
  const input = inputs(place, path).find((one) => one.type !== "hidden");
  if (input) {
    input.setAttribute("aria-invalid", "true");
    describe(input, help?.id, line.id);
  } else {
    // Of a whole list, or a group.
    place.dataset.wrong = "";
  }
  return true;
}

function mended(form, path) {
  const line = path && document.getElementById(`f-${path}-error`);
  if (!line) return;
  line.remove();
  for (const input of inputs(form, path)) {
    input.removeAttribute("aria-invalid");
    describe(input, null, document.getElementById(`f-${path}-help`)?.id);
  }
}

function describe(input, ...ids) {
  const found = ids.filter(Boolean).join(" ");
  if (found) input.setAttribute("aria-describedby", found);
  else input.removeAttribute("aria-describedby");
}
