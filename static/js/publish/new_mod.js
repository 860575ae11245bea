// The form on /publish that makes a mod.

import { setText, show } from "../dom.js";
import { sendJson } from "./api.js";

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
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  show(error, false);
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
    setText(error, refusal.errors.map((one) => `${one.path}: ${one.message}`).join("\n") || refusal.message);
    show(error, true);
    button.disabled = false;
  }
});
