// Keeps the operator's page up to date: each part is replaced where it has changed, and where nobody is at it.

import { setText } from "./dom.js";

const EVERY_MS = 3000;

const middle = document.querySelector("[data-operator]");
const feed = document.querySelector("[data-operator-feed]");

/** Fetch the middle of the page, and put in what is new. */
async function update() {
  const answer = await fetch(middle.dataset.url, { headers: { Accept: "text/html" }, redirect: "error" });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const parts = [...fresh.querySelectorAll("section[id]")];
  const ids = (sections) => sections.map((section) => section.id).join();
  // While Redis is away there are others, and what was known before is not true any more.
  if (ids(parts) !== ids([...middle.querySelectorAll("section[id]")])) middle.replaceChildren(...parts);
  for (const part of parts) {
    const shown = document.getElementById(part.id);
    if (shown && shown.innerHTML !== part.innerHTML && !shown.contains(document.activeElement)) {
      shown.replaceChildren(...part.childNodes);
    }
  }
}

async function run() {
  for (;;) {
    if (!document.hidden) {
      try {
        await update();
        feed.dataset.feed = "live";
        setText(feed, "Live");
      } catch {
        feed.dataset.feed = "offline";
        setText(feed, "The server does not answer; trying again");
      }
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

run();
