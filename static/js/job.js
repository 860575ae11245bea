// What the page of a run has besides where the run is a person's own script: its place in the queue while it waits, the
// signals while it runs.

import { setText, show } from "./dom.js";

const ASK_EVERY_MS = 2000;
const ARMED_MS = 4000;

const page = document.querySelector("[data-run]");
const place = page.querySelector("[data-place]");
const cancel = page.querySelector("[data-cancel]");
const signals = [...page.querySelectorAll("[data-signal]")];
const hint = page.querySelector("[data-signals]");
let state = page.dataset.state;

page.addEventListener("run:state", ({ detail }) => showState(detail));
for (const form of signals) form.addEventListener("submit", signal);
askPlace();

function showState(now) {
  state = now;
  if (cancel) show(cancel, now === "queued");
  for (const form of signals) show(form, now === "running");
  if (hint) show(hint, now === "running");
  if (now !== "queued") show(place, false);
}

async function askPlace() {
  if (state !== "queued" || page.dataset.finished !== undefined) return;
  if (!document.hidden) {
    try {
      const response = await fetch(place.dataset.url, { cache: "no-store" });
      const words = response.ok ? (await response.json()).words : "";
      if (state === "queued") {
        setText(place, words);
        show(place, words !== "");
      }
    } catch {
      // The page says already that the connection is lost.
    }
  }
  window.setTimeout(askPlace, ASK_EVERY_MS);
}

async function signal(event) {
  event.preventDefault();
  const form = event.currentTarget;
  const button = form.querySelector("button");
  const name = button.value === "kill" ? "Kill" : "Terminate";
  if (button.dataset.armed === undefined) {
    // Asking in place, as for Cancel: one more press on the same button.
    button.dataset.armed = "";
    setText(button, `Really ${name.toLowerCase()}?`);
    window.setTimeout(() => disarm(button, name), ARMED_MS);
    return;
  }
  disarm(button, name);
  button.disabled = true;
  try {
    const response = await fetch(form.dataset.api, {
      method: "POST",
      body: JSON.stringify({ command: button.value }),
      headers: { "Content-Type": "application/json" },
    });
    const answer = await response.json().catch(() => ({}));
    if (response.ok) say(`${form.dataset.signal} was sent.${button.value === "kill" ? "" : " Where it does not end, kill it."}`);
    else say(answer.message ?? `The server answered ${response.status}.`);
  } catch {
    say("The server could not be reached. Try again.");
  }
  button.disabled = false;
}

function disarm(button, name) {
  delete button.dataset.armed;
  setText(button, name);
}

function say(words) {
  setText(page.querySelector("[data-signal-said]"), words);
}
