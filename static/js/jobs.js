// The page /jobs: its list is asked for anew every two seconds, and what is different takes its place. The server makes
// the rows, a page of them at a time; where nothing has changed it says so and sends none.

import { serverTime, setServerTime } from "./clock.js";
import { setText, show } from "./dom.js";
import * as format from "./format.js";

const POLL_EVERY_MS = 2000;

const page = document.querySelector("[data-jobs]");
setServerTime(Number(page.dataset.now));
let etag = null;

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) poll();
});
let timer = window.setTimeout(poll, 0);
window.setInterval(drawTimes, 1000);

async function poll() {
  window.clearTimeout(timer);
  if (document.hidden) return;
  try {
    const response = await fetch(page.dataset.url, { cache: "no-store", headers: etag ? { "If-None-Match": etag } : {} });
    if (response.redirected) {
      // To the login: whoever comes back from there sees the list anew.
      window.location.assign(page.dataset.login);
      return;
    }
    if (response.status === 200) {
      etag = response.headers.get("ETag");
      take(new DOMParser().parseFromString(await response.text(), "text/html").querySelector("[data-list]"));
    } else if (response.status !== 304) throw new Error(String(response.status));
    say("live", "Live");
  } catch {
    say("offline", "Connection lost, trying again");
  }
  drawTimes();
  window.clearTimeout(timer);
  timer = window.setTimeout(poll, POLL_EVERY_MS);
}

function say(state, words) {
  const feed = page.querySelector("[data-live]");
  feed.dataset.feed = state;
  setText(feed, words);
  show(feed, true);
}

function take(fresh) {
  const list = page.querySelector("[data-list]");
  const [rows, freshRows] = [list.querySelector("[data-rows]"), fresh.querySelector("[data-rows]")];
  if (!rows || !freshRows || Boolean(list.querySelector("[data-pager]")) !== Boolean(fresh.querySelector("[data-pager]"))) {
    list.replaceWith(document.adoptNode(fresh));
    return;
  }
  list.querySelector("[data-counts]").replaceChildren(...fresh.querySelector("[data-counts]").childNodes);
  list.querySelector("[data-pager]")?.replaceChildren(...fresh.querySelector("[data-pager]").childNodes);
  // Rows that are as they were stay, and with them what is selected and what has the focus.
  const kept = new Map([...rows.children].map((row) => [row.dataset.job, row]));
  const focused = document.activeElement?.closest("[data-job]")?.dataset.job;
  const now = [...freshRows.children].map((row) => {
    const old = kept.get(row.dataset.job);
    return old?.dataset.mark === row.dataset.mark ? old : document.adoptNode(row);
  });
  if (now.length === rows.children.length && now.every((row, index) => rows.children[index] === row)) return;
  rows.replaceChildren(...now);
  if (focused) rows.querySelector(`[data-job="${focused}"] a`)?.focus({ preventScroll: true });
}

function drawTimes() {
  for (const cell of page.querySelectorAll("[data-since]")) setText(cell, format.duration(serverTime() - Number(cell.dataset.since)));
}
