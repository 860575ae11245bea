// Forms that destroy something, [data-ask] with a field "confirmed", ask in place: the button is pressed twice. Without
// scripts the server asks on a page of its own.

import { setText } from "./dom.js";

const ASKED_MS = 5000;

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-ask]")) return;
  const button = form.querySelector("button");
  if (button.dataset.armed !== undefined) {
    form.elements.confirmed.value = "yes";
    return;
  }
  event.preventDefault();
  const [text, label] = [button.textContent, button.getAttribute("aria-label")];
  button.dataset.armed = "";
  setText(button, form.dataset.ask);
  button.removeAttribute("aria-label");
  window.setTimeout(() => {
    delete button.dataset.armed;
    setText(button, text);
    if (label) button.setAttribute("aria-label", label);
  }, ASKED_MS);
});
