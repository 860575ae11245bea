// The page /watch/<ticket>: puts together the feed, the files, the log, questions, the result and the failure.

import { serverTime, setServerTime } from "./clock.js";
import { copyText, element, setText, show } from "./dom.js";
import { Feed, FeedState } from "./feed.js";
import { FilesView } from "./files_view.js";
import * as format from "./format.js";
import { LogView } from "./log_view.js";
import { offerPublishing } from "./publish/converted.js";
import { resultView } from "./result_view.js";
import { FEED_STATES, STATES } from "./task_words.js";

// Parts of the way that are told to screen readers; more often would be noise.
const ANNOUNCE_EVERY_PERCENT = 20;

const page = document.querySelector("[data-watch]");
const find = (name) => page.querySelector(`[data-${name}]`);
const { token, ticket } = page.dataset;
const view = {
  badge: find("state"),
  feed: find("feed"),
  elapsed: find("elapsed"),
  bar: find("bar"),
  fill: find("fill"),
  percent: find("percent"),
  stage: find("stage"),
  announce: find("announce"),
  question: find("question"),
  cancel: find("cancel"),
  failure: find("failure"),
  result: find("result"),
};
setServerTime(Number(page.dataset.now));
const title = document.title;
const files = new FilesView(find("files"));
const log = new LogView(find("log"), { onSerious: () => undefined });
// What stands before the task's name in the title: an open question before the percentage.
const inTitle = { question: "", progress: "" };

let startedAt = Number(page.dataset.started) || null;
let endedAt = Number(page.dataset.ended) || null;
let announced = -1;
let questions = 0;

const handlers = {
  log_message: ([line]) => log.add(line),
  progress: ([fraction, text]) => showProgress(fraction, text),
  files: ([list]) => files.update(list),
  captcha: () => ask(),
  answered: () => closeQuestion(),
  state: ([state]) => showState(state),
  done: ([success, details]) => finish(success, details ?? {}),
  task_status: () => gone(),
};

const feed = new Feed({
  socketUrl: page.dataset.socketUrl,
  eventsUrl: page.dataset.eventsUrl,
  token,
  onMessage: (event, args) => handlers[event]?.(args),
  onState: showFeed,
});
window.setInterval(showElapsed, 1000);
showElapsed();
find("cancel")?.addEventListener("click", cancel);
find("answer").addEventListener("submit", answer);
find("new-image").addEventListener("click", ask);
feed.run();

function address(name) {
  const url = new URL(page.dataset[name], window.location.href);
  if (token) url.searchParams.set("token", token);
  return url;
}

function showFeed(state) {
  // How it ended is said by then.
  if (state === FeedState.ENDED && view.feed.dataset.feed === "over") return;
  setText(view.feed, FEED_STATES[state]);
  view.feed.dataset.feed = state;
}

function showState({ state, attempt, text }) {
  const waits = state === "queued" || state === "retrying";
  setBadge(waits ? "queued" : state);
  if (state === "running" && !startedAt) startedAt = serverTime();
  if (waits) {
    files.interrupt();
    announced = -1; // the next try begins anew
  }
  if (state === "retrying") log.add(`WARNING: ${text}`);
  setText(view.stage, text ?? "");
  if (state === "retrying" || (state === "running" && attempt > 1)) announce(text);
}

function setBadge(state) {
  setText(view.badge, STATES[state] ?? state);
  view.badge.dataset.state = state;
}

function showProgress(fraction, text) {
  const shown = format.percent(fraction);
  view.fill.style.width = `${Math.min(1, Math.max(0, fraction)) * 100}%`;
  view.bar.setAttribute("aria-valuenow", String(Math.floor(fraction * 100)));
  setText(view.percent, shown);
  setText(view.stage, text);
  inTitle.progress = shown;
  showTitle();
  const step = Math.floor((fraction * 100) / ANNOUNCE_EVERY_PERCENT);
  if (step > announced) {
    announced = step;
    announce(`${shown}: ${text}`);
  }
}

function showElapsed() {
  if (!startedAt) return;
  setText(view.elapsed, format.duration((endedAt ?? serverTime()) - startedAt));
}

function showTitle() {
  const first = inTitle.question || inTitle.progress;
  document.title = first ? `${first} · ${title}` : title;
}

function closeQuestion() {
  show(view.question, false);
  inTitle.question = "";
  showTitle();
}

function announce(text) {
  setText(view.announce, text);
}

function ask() {
  questions += 1;
  const url = address("captchaUrl");
  url.searchParams.set("n", String(questions));
  find("image").src = url.href;
  find("answer-field").value = "";
  setText(find("answer-status"), "");
  if (view.question.hidden) {
    show(view.question, true);
    inTitle.question = "Code needed";
    showTitle();
    announce("A file hoster asks for a code.");
    find("answer-field").focus();
  }
}

async function answer(event) {
  event.preventDefault();
  const body = new URLSearchParams({ value: find("answer-field").value });
  const { ok, message } = await post("answerUrl", body);
  if (ok) closeQuestion();
  else setText(find("answer-status"), message);
}

async function cancel() {
  if (view.cancel.dataset.armed === undefined) {
    // Asking in place rather than in a dialogue: one more press on the same button.
    view.cancel.dataset.armed = "";
    setText(view.cancel, "Really cancel?");
    window.setTimeout(() => {
      delete view.cancel.dataset.armed;
      if (!view.cancel.disabled) setText(view.cancel, "Cancel");
    }, 4000);
    return;
  }
  view.cancel.disabled = true;
  setText(view.cancel, "Cancelling…");
  const { ok, message } = await post("cancelUrl", new URLSearchParams());
  if (ok) return;
  view.cancel.disabled = false;
  setText(view.cancel, "Cancel");
  setText(view.stage, message);
}

async function post(name, body) {
  try {
    const response = await fetch(address(name), { method: "POST", body });
    const content = await response.json();
    return { ok: response.ok, message: content.message ?? "" };
  } catch {
    return { ok: false, message: "The server could not be reached. Try again." };
  }
}

async function finish(success, details) {
  const state = details.state ?? (success ? "succeeded" : "failed");
  setBadge(state);
  endedAt ??= serverTime();
  showElapsed();
  page.dataset.finished = state;
  if (view.cancel) show(view.cancel, false);
  inTitle.progress = STATES[state];
  closeQuestion();
  files.end();
  if (!success) showEnd(state, details.failure);
  log.end();
  announce(success ? "Done. The result is below." : `${STATES[state]}. ${details.failure?.message ?? ""}`);
  const task = await load("taskUrl");
  if (task?.started) startedAt = task.started;
  if (task?.ended) endedAt = task.ended;
  showElapsed();
  if (success) await showResult();
  else showFailure(state, task?.failure ?? details.failure);
}

// What was last said of the progress ("Downloading ...") is not true any more.
function showEnd(state, failure) {
  const [sentence] = (failure?.message ?? "").split("\n");
  setText(view.stage, sentence || `${STATES[state]}.`);
  setText(view.percent, STATES[state]);
  setText(view.feed, "Ended");
  view.feed.dataset.feed = "over";
  // The log of a packaging that failed says why already; of other ends only this event knows.
  if (state === "cancelled") log.add(`WARNING: ${sentence || "The task was cancelled."}`);
  else if (failure && failure.code !== "conversion_failed") log.add(`ERROR: ${sentence}`);
}

async function load(name) {
  try {
    const response = await fetch(address(name));
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

async function showResult() {
  view.fill.style.width = "100%";
  setText(view.percent, "100 %");
  setText(view.stage, "Finished.");
  if (!view.result) return;
  show(view.result, true);
  find("download").href = address("resultUrl").href;
  find("copy").addEventListener("click", async (event) => {
    const copied = await copyText(address("resultUrl").href);
    setText(event.target, copied ? "Link copied" : "Copying is not allowed here");
  });
  const tree = await load("treeUrl");
  if (tree) find("tree").replaceChildren(...resultView(tree));
  offerPublishing(find("publish"), ticket, token);
}

function showFailure(state, failure) {
  const reasons = failure?.reasons ?? [];
  const message = failure?.message ?? "";
  show(view.failure, true);
  setText(find("failure-title"), state === "cancelled" ? "This task was cancelled" : "This could not be packaged");
  setText(find("failure-message"), reasons.length > 1 ? message.split("\n")[0] : reasons[0]?.message ? "" : message);
  find("failure-reasons").replaceChildren(...reasons.map(reasonView));
  setText(find("failure-more"), failure?.more ? `${format.count(failure.more, "more reason")} in the log.` : "");
  setText(find("failure-advice"), failure?.advice ?? "");
}

function reasonView({ message, facts, advice }) {
  const rows = Object.entries(facts).flatMap(([name, values]) => [
    element("dt", {}, name),
    ...values.map((value) => element("dd", {}, value)),
  ]);
  return element(
    "li",
    {},
    message ? element("p", { class: "failure-message" }, message) : null,
    rows.length > 0 ? element("dl", { class: "facts" }, rows) : null,
    advice ? element("p", { class: "failure-advice" }, advice) : null,
  );
}

function gone() {
  setText(view.stage, "This task is gone: the server keeps finished tasks for some time only.");
  page.dataset.finished = "missing";
}
