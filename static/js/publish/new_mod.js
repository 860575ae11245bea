// The form on /publish that makes a mod.

import { setText, show } from "../dom.js";
import { sendJson } from "./api.js";
import { clearProblems, mark, unmark } from "./problems.js";

const form = document.querySelector("[data-new-mod]");
const error = form.querySelector("[data-error]");
const [id, title, type, parent] = ["id", "title", "type", "parent"].map((name) => form.elements[name]);
let idIsTyped = false;

id.addEventListener("input", () => {
  idIsTyped = id.value !== "";
});
title.addEventListener("input", () => {
  if (!idIsTyped) id.value = title.value.normalize("NFKD").replace(/[^A-Za-z0-9]+/g, "").slice(0, 64);
});
type.addEventListener("change", () => {
  parent.closest(".field").hidden = type.value !== "mod" && type.value !== "ext";
});
form.addEventListener("input", (event) => unmark(event.target));
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  show(error, false);
  clearProblems(form);
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  try {
    const hasParent = type.value === "mod" || type.value === "ext";
    await sendJson("mod/create", {
      id: id.value.trim(),
      title: title.value.trim(),
      type: type.value,
      parent: hasParent ? parent.value.trim() || null : null,
    });
    window.location.assign(`${form.dataset.target}/${encodeURIComponent(id.value.trim())}`);
  } catch (refusal) {
    const fields = refusal.errors.map((one) => form.elements[one.path]).filter(Boolean);
    for (const one of refusal.errors) if (form.elements[one.path]) mark(form.elements[one.path], one.message);
    const others = refusal.errors.filter((one) => !form.elements[one.path]).map((one) => one.message);
    const isTaken = refusal.reason === "duplicated id";
    if (isTaken) mark(id, refusal.message);
    setText(error, others.join("\n") || refusal.message);
    show(error, others.length > 0 || (!fields.length && !isTaken));
    button.disabled = false;
    (isTaken ? id : fields[0])?.focus();
  }
});
