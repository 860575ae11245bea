// The page /runs/<id>: what a run writes as it writes it, how far it is, and how it ended. What comes at its end (files,
// errors, times) is taken from the page as the server renders it then.
//
// Pages of a kind of runs listen on [data-run] for the events run:output (detail {stream, text}), run:again (it starts
// once more, what was written counts no more), run:state (detail the state) and run:end (the page has been renewed).

import { serverTime, setServerTime } from "./clock.js";
import { setText, show } from "./dom.js";
import { Feed, FeedState } from "./feed.js";
import * as format from "./format.js";
import { LogView } from "./log_view.js";
import { OutputView } from "./output_view.js";
import { FEED_STATES, STATES } from "./task_words.js";

// Output that is a page is loaded anew as more of it comes, but not more often than this.
const FRAME_EVERY_MS = 2000;
// Of output that is not live any more the end is shown, up to so many bytes of each stream.
const TAIL_BYTES = 1024 * 1024;

const page = document.querySelector("[data-run]");
const find = (name) => page.querySelector(`[data-${name}]`);
const view = { badge: find("badge"), feed: find("feed"), elapsed: find("elapsed"), stage: find("stage"), fill: find("fill"), bar: find("bar") };
setServerTime(Number(page.dataset.now));
const title = document.title;
const output = new OutputView(find("output"));
const log = new LogView(find("log"), { onSerious: () => undefined });
show(find("tools"), true);
show(find("box"), true);

let startedAt = Number(page.dataset.started) || null;
let endedAt = Number(page.dataset.ended) || null;
// A page that is opened after the end shows the end already; the feed only brings what was written.
const wasOver = page.dataset.finished !== undefined;
let frameTimer = null;

const handlers = {
  output: ([stream, text]) => {
    output.add(stream, text);
    tell("output", { stream, text });
    if (stream === "stdout") frameSoon();
  },
  log_message: ([line]) => {
    show(find("log"), true);
    log.add(line);
  },
  progress: ([fraction, text]) => showProgress(fraction, text),
  state: ([state]) => showState(state),
  done: ([success, details]) => finish(success, details ?? {}),
  task_status: () => missing(),
};

window.setInterval(showElapsed, 1000);
showElapsed();
find("cancel")?.addEventListener("submit", cancel);
begin();

function begin() {
  if (!page.dataset.eventsUrl) {
    showKept();
    return;
  }
  show(view.feed, true);
  const { socketUrl, eventsUrl, token } = page.dataset;
  new Feed({ socketUrl, eventsUrl, token, onMessage: (event, args) => handlers[event]?.(args), onState: showFeed }).run();
}

function tell(what, detail) {
  page.dispatchEvent(new CustomEvent(`run:${what}`, { detail }));
}

function showFeed(state) {
  setText(view.feed, FEED_STATES[state]);
  view.feed.dataset.feed = state;
}

function showState({ state, text }) {
  if (state === "retrying") {
    output.note(text ?? "It is started once more");
    tell("again");
  }
  if (wasOver) return;
  setBadge(state === "queued" || state === "retrying" ? "queued" : state);
  if (state === "running" && !startedAt) startedAt = serverTime();
}

function setBadge(state) {
  tell("state", state);
  setText(view.badge, STATES[state] ?? state);
  view.badge.dataset.state = state;
}

function showProgress(fraction, text) {
  show(find("progress"), true);
  const shown = format.percent(fraction);
  view.fill.style.width = `${Math.min(1, Math.max(0, fraction)) * 100}%`;
  view.bar.setAttribute("aria-valuenow", String(Math.floor(fraction * 100)));
  setText(find("percent"), shown);
  setText(view.stage, text);
  if (!wasOver) document.title = `${shown} · ${title}`;
}

function showElapsed() {
  if (startedAt) setText(view.elapsed, format.duration((endedAt ?? serverTime()) - startedAt));
}

function cancel(event) {
  const button = event.target.querySelector("button");
  if (button.dataset.armed !== undefined) return;
  // Asking in place rather than in a dialogue: one more press on the same button.
  event.preventDefault();
  button.dataset.armed = "";
  setText(button, "Really cancel?");
  window.setTimeout(() => {
    delete button.dataset.armed;
    setText(button, "Cancel");
  }, 4000);
}

async function finish(success, details) {
  output.end();
  log.end();
  if (wasOver) return;
  const state = details.state ?? (success ? "succeeded" : "failed");
  setBadge(state);
  page.dataset.finished = state;
  endedAt ??= serverTime();
  showElapsed();
  if (find("cancel")) show(find("cancel"), false);
  document.title = `${STATES[state]} · ${title}`;
  await takeOver();
  tell("end");
  setText(find("announce"), `${STATES[state]}. ${find("ending").textContent}`);
}

// The parts of the page that are different once the run has ended.
async function takeOver() {
  try {
    const response = await fetch(window.location.href);
    if (!response.ok) return;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const part of page.querySelectorAll("[data-swap]")) {
      const now = fresh.querySelector(`[data-swap="${part.dataset.swap}"]`);
      if (now) part.replaceChildren(...now.childNodes);
    }
    const run = fresh.querySelector("[data-run]");
    setText(find("ending"), run.querySelector("[data-ending]").textContent);
    startedAt = Number(run.dataset.started) || startedAt;
    endedAt = Number(run.dataset.ended) || endedAt;
    showElapsed();
  } finally {
    loadFrame();
  }
}

function missing() {
  showFeed(FeedState.MISSING);
  showKept();
}

/** What was kept, where the feed is gone: standard output, and then standard error. */
async function showKept() {
  for (const stream of ["stdout", "stderr"]) {
    const url = page.dataset[`${stream}Url`];
    if (!url) continue;
    const response = await fetch(url, { headers: { Range: `bytes=-${TAIL_BYTES}` } }).catch(() => null);
    // An empty file has no range.
    if (!response?.ok) continue;
    const first = Number(/bytes (\d+)-/.exec(response.headers.get("Content-Range") ?? "")?.[1] ?? 0);
    if (first > 0) output.note(`${format.bytes(first)} of ${stream} before this are not shown here; the download has them`);
    const text = await response.text();
    output.add(stream, text);
    tell("output", { stream, text });
  }
  output.end();
}

// --- output that is a page --------------------------------------------------------------------------

function frameSoon() {
  if (!find("frame") || wasOver || frameTimer) return;
  frameTimer = window.setTimeout(() => {
    frameTimer = null;
    if (page.dataset.finished === undefined) loadFrame();
  }, FRAME_EVERY_MS);
}

function loadFrame() {
  const frame = find("frame");
  // Its own window cannot be reached from here; the same address once more is a reload.
  if (frame) frame.src = frame.getAttribute("src");
}
