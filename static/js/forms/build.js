// The fields of a form as elements, from their description: the markup of templates/scripts/fields.html, so that
// behaviour.js works with both. Descriptions are normalised (check.js), paths such as "samples.1.volume" are names.

import { element } from "../dom.js";
import { below, least } from "./check.js";

/** A field with all its rows as they are at first. */
export function fieldView(field, path) {
  if (!field.repeat) return oneView(field, path);
  const rows = Array.from({ length: least(field) }, (_, number) => rowView(field, path, number));
  return element(
    "fieldset",
    { class: "form-group", "data-repeat": path, "data-place": path, id: idOf(path), tabindex: "-1" },
    element("legend", {}, field.label),
    helpView(field, path),
    element("ol", { class: "form-rows", "data-rows": true }, rows),
    element(
      "button",
      { class: "btn btn-sm btn-outline-secondary", type: "submit", name: ":add", value: path, formnovalidate: true },
      "Add ",
      element("span", { class: "visually-hidden" }, `to ${field.label}`),
    ),
  );
}

/** One more row of what is repeated. */
export function rowView(field, path, number) {
  const own = below(path, String(number));
  const remove = element(
    "button",
    { class: "btn btn-sm btn-link", type: "submit", name: ":remove", value: own, formnovalidate: true },
    "Remove ",
    element("span", { class: "visually-hidden", "data-row-name": rowTitle(field) }, `${rowTitle(field)} ${number + 1}`),
  );
  return element(
    "li",
    { class: field.type === "group" ? "form-row" : "form-row is-simple", "data-row": true },
    element("input", { type: "hidden", name: own, value: "" }),
    field.type === "group"
      ? element(
          "div",
          { class: "form-row-head" },
          element("span", { "data-row-name": rowTitle(field) }, `${rowTitle(field)} ${number + 1}`),
          remove,
        )
      : null,
    field.type === "group" ? groupFields(field, own) : oneView(field, own, number),
    field.type === "group" ? null : remove,
  );
}

function groupFields(field, path) {
  return element("div", { class: "form-fields", "data-place": path }, field.fields.map((one) => fieldView(one, below(path, one.name))));
}

function oneView(field, path, number = null) {
  if (field.type === "group") {
    return element(
      "fieldset",
      { class: "form-group" },
      element("legend", {}, field.label),
      helpView(field, path),
      groupFields(field, path),
    );
  }
  if (field.type === "checkbox") return checkboxView(field, path, number);
  if (field.type === "select" && field.multiple) return choicesView(field, path);
  return element(
    "div",
    { class: "field", "data-place": path },
    labelView(field, path, number, "form-label"),
    inputView(field, path),
    helpView(field, path),
  );
}

function labelView(field, path, number, kind) {
  const text = number === null ? field.label : `${rowTitle(field)} ${number + 1}`;
  return element(
    "label",
    // In a list the fieldset's legend says it already.
    { class: number === null ? kind : `${kind} visually-hidden`, for: idOf(path) },
    element("span", number === null ? {} : { "data-row-name": rowTitle(field) }, text),
    field.required || field.type === "checkbox" || number !== null ? null : [" ", element("span", { class: "hint" }, "(optional)")],
  );
}

function inputView(field, path) {
  const about = { id: idOf(path), name: path, required: Boolean(field.required), "aria-describedby": field.help ? helpId(path) : null };
  if (field.type === "select") {
    const options = field.options.map(({ value, label }) => element("option", { value, selected: value === field.value }, label));
    return element("select", { class: "form-select", ...about }, element("option", { value: "" }, field.required ? "Choose" : "None"), options);
  }
  const value = field.value === null ? "" : String(field.value);
  if (field.type === "textarea") {
    return element("textarea", { class: "form-control", rows: 4, placeholder: field.placeholder, ...about }, value);
  }
  return element("input", { class: "form-control", ...INPUTS[field.type](field, value), ...about });
}

// Numbers are texts for the browser: of what is no number it would keep nothing.
const INPUTS = {
  text: ({ placeholder }, value) => ({ type: "text", placeholder, value }),
  integer: ({ placeholder }, value) => ({ type: "text", inputmode: "numeric", autocomplete: "off", placeholder, value }),
  double: ({ placeholder }, value) => ({ type: "text", inputmode: "decimal", autocomplete: "off", placeholder, value }),
  date: ({ min, max }, value) => ({ type: "date", min, max, value }),
  file: ({ accept, multiple }) => ({ type: "file", accept, multiple: Boolean(multiple) }),
};

function checkboxView(field, path, number) {
  const input = element("input", {
    class: "form-check-input",
    type: "checkbox",
    id: idOf(path),
    name: path,
    value: "on",
    checked: field.value === true,
    required: Boolean(field.required),
    "aria-describedby": field.help ? helpId(path) : null,
  });
  return element(
    "div",
    { class: "field", "data-place": path },
    element("div", { class: "form-check" }, input, labelView(field, path, number, "form-check-label")),
    helpView(field, path),
  );
}

function choicesView(field, path) {
  const chosen = [field.value ?? []].flat();
  const options = field.options.map(({ value, label }, number) => {
    const id = number === 0 ? idOf(path) : `${idOf(path)}-${number}`;
    return element(
      "div",
      { class: "form-check" },
      element("input", { class: "form-check-input", type: "checkbox", id, name: path, value, checked: chosen.includes(value) }),
      element("label", { class: "form-check-label", for: id }, label),
    );
  });
  return element(
    "fieldset",
    { class: "field form-choices", "data-place": path },
    element("legend", {}, field.label, field.required ? null : [" ", element("span", { class: "hint" }, "(optional)")]),
    element("div", { class: "form-options" }, options),
    helpView(field, path),
  );
}

function helpView(field, path) {
  return field.help ? element("p", { class: "hint mt-1", id: helpId(path) }, field.help) : null;
}

function rowTitle(field) {
  return field.repeat?.label || field.label;
}

function idOf(path) {
  return `f-${path}`;
}

function helpId(path) {
  return `f-${path}-help`;
}
