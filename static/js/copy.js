// Buttons that copy what their data-copy says. Hidden in the page: without scripts they could do nothing.

import { copyText, setText, show } from "./dom.js";

/** Milliseconds for which a button says what it has done. */
const TOLD_MS = 2000;

for (const button of document.querySelectorAll("[data-copy]")) {
  show(button, true);
  button.addEventListener("click", async () => {
    const copied = await copyText(button.dataset.copy);
    setText(button, copied ? "Copied" : "Not copied");
    window.setTimeout(() => setText(button, "Copy"), TOLD_MS);
  });
}
