// Problems as the server names them, by path, brought to where they are: a line at each field, and a list with ways there.

import { element } from "../dom.js";

const FIELDS = "input, select, textarea";
/** Where the line about a problem goes: the nearest of these around the field. */
const PLACES = "li, .field, .form-check, [data-package]";
let counter = 0;

/** Mark each field that a problem is about; the rows of the list that names them all. */
export function showProblems(form, problems, { mark: marks = true } = {}) {
  return problems.map((problem) => {
    const { field, rest } = fieldAt(form, problem.path ?? "");
    if (!field) return element("li", {}, problem.path ? [element("code", {}, problem.path), " "] : null, problem.message);
    if (marks) mark(field, problem.message);
    const go = element("button", { type: "button", class: "link-button" }, nameOf(field, rest));
    go.addEventListener("click", () => {
      field.scrollIntoView({ block: "center" });
      (field.matches(FIELDS) ? field : field.querySelector(FIELDS) ?? field.querySelector("button"))?.focus({ preventScroll: true });
    });
    return element("li", {}, go, " ", problem.message);
  });
}

/** Say at a field, row or package what is wrong with it. */
export function mark(field, message) {
  // One line is enough for a whole package: the list has them all.
  if ("wrong" in field.dataset) return;
  counter += 1;
  const place = field.closest(PLACES);
  // A row has several fields, and its lines stand below them all.
  const text = place?.matches("li") && field.matches(FIELDS) ? `${labelOf(field)}: ${message}` : message;
  const line = element("p", { class: "field-error", id: `problem-${counter}`, "data-problem": true }, text);
  place?.append(line);
  if (!field.matches(FIELDS)) {
    field.dataset.wrong = "";
    return;
  }
  field.setAttribute("aria-invalid", "true");
  field.dataset.describedBy ??= field.getAttribute("aria-describedby") ?? "";
  field.setAttribute("aria-describedby", `${field.getAttribute("aria-describedby") ?? ""} ${line.id}`.trim());
}

/** Take back what was said of one field: it is being mended. */
export function unmark(field) {
  if (!field.hasAttribute("aria-invalid")) return;
  for (const id of (field.getAttribute("aria-describedby") ?? "").split(" ")) {
    if (id.startsWith("problem-")) document.getElementById(id)?.remove();
  }
  field.removeAttribute("aria-invalid");
  if (field.dataset.describedBy) field.setAttribute("aria-describedby", field.dataset.describedBy);
  else field.removeAttribute("aria-describedby");
}

/** Take back everything. */
export function clearProblems(form) {
  for (const field of form.querySelectorAll("[aria-invalid]")) unmark(field);
  for (const line of form.querySelectorAll("[data-problem]")) line.remove();
  for (const node of form.querySelectorAll("[data-wrong]")) delete node.dataset.wrong;
}

/** The field, row or package at a path, or at the longest beginning of it, and the rest of the path. */
function fieldAt(form, path) {
  for (let at = path; at; at = at.slice(0, Math.max(0, at.lastIndexOf(".")))) {
    const field = form.querySelector(`[data-path="${CSS.escape(at)}"]`);
    if (field) return { field, rest: path.slice(at.length + 1) };
  }
  return { field: null, rest: path };
}

function labelOf(field) {
  return field.labels?.[0]?.childNodes[0]?.textContent.trim() ?? "";
}

function nameOf(field, rest) {
  const inPackage = field.closest("[data-package]")?.querySelector("[data-package-title]").textContent;
  const own = field.matches("[data-package]") ? "" : labelOf(field) || field.querySelector("strong")?.textContent || "";
  // A field that holds a list, one a line: the path goes on with the number.
  const line = field.matches("textarea") && /^\d+$/.test(rest) ? `line ${Number(rest) + 1}` : "";
  return [inPackage, own, line].filter(Boolean).join(", ") || "Here";
}
