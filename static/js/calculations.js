// The page /calculations: its rows are taken from the page as the server renders it now, every few seconds.

import "./ask.js";
import { setText, show } from "./dom.js";

const LOOK_EVERY_MS = 3000;

const list = document.querySelector("[data-list]");
if (list) begin();

function begin() {
  show(list.querySelector("[data-feed]"), true);
  tell("live", "Live");
  window.setTimeout(look, LOOK_EVERY_MS);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh();
  });
}

async function look() {
  if (!document.hidden) await refresh();
  window.setTimeout(look, LOOK_EVERY_MS);
}

async function refresh() {
  try {
    // Posting leaves an error at this address; what it lists is the page's.
    const response = await fetch(window.location.href);
    if (!response.ok) throw new Error(String(response.status));
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    const part = fresh.querySelector('[data-list] [data-part="table"]');
    if (part) take(part);
    tell("live", "Live");
  } catch {
    tell("offline", "Connection lost, trying again");
  }
}

function tell(state, text) {
  const feed = list.querySelector("[data-feed]");
  feed.dataset.feed = state;
  setText(feed, text);
}

// Rows stay where nothing of them has changed, so that focus and selection do; one that is being asked about stays, too.
function take(part) {
  const now = list.querySelector('[data-part="table"]');
  const [body, fresh] = [now.querySelector("tbody"), part.querySelector("tbody")];
  if (!body || !fresh) {
    if (body || fresh) now.replaceChildren(...part.childNodes);
    return;
  }
  const kept = new Map([...body.children].map((row) => [row.dataset.key, row]));
  const rows = [...fresh.children].map((row) => {
    const old = kept.get(row.dataset.key);
    const stays = old && (old.innerHTML === row.innerHTML || old.querySelector("[data-armed]"));
    return stays ? old : document.importNode(row, true);
  });
  if (rows.length === body.children.length && rows.every((row, index) => body.children[index] === row)) return;
  const focused = document.activeElement?.closest?.("[data-key]")?.dataset.key;
  const tag = document.activeElement?.tagName;
  body.replaceChildren(...rows);
  if (focused) body.querySelector(`[data-key="${focused}"] ${tag}`)?.focus();
}
