// The page of a script: its form is checked here before it is sent, and rows come and go without the server.

import { setText } from "./dom.js";
import { enhance } from "./forms/behaviour.js";

const form = document.querySelector("[data-form]");
const button = form.querySelector("[data-send]");
const said = form.querySelector("[data-status]");

enhance(form, JSON.parse(form.dataset.config), () => {
  setText(said, form.querySelector("input[type=file]") ? "Sending…" : "Starting…");
  // Not twice; it is sent all the same.
  window.setTimeout(() => (button.disabled = true));
});

// Who comes back to the page finds it as it was.
window.addEventListener("pageshow", () => {
  button.disabled = false;
  setText(said, "");
});
