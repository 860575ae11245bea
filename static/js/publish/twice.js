// Buttons that destroy something are pressed twice: the first time they ask.

import { setText } from "../dom.js";

/** Milliseconds for which the question stays. */
const ASKED_MS = 5000;

/** Call `act` at the second press of a button; at once where `harmless` says that nothing is lost by it. */
export function askTwice(button, question, act, harmless = () => false) {
  const text = button.textContent;
  let timer = 0;
  const forget = () => {
    window.clearTimeout(timer);
    timer = 0;
    delete button.dataset.armed;
    setText(button, text);
  };
  button.addEventListener("click", () => {
    if (timer || harmless()) {
      forget();
      act();
      return;
    }
    button.dataset.armed = "";
    setText(button, question);
    timer = window.setTimeout(forget, ASKED_MS);
  });
}
