// The page /jobs/new: writing a script, and sending it. What is written is kept in this browser, for each user, until
// it was sent: neither a session that is over nor a server that does not answer loses it.

import { element, setText, show } from "./dom.js";
import { Editor } from "./editor.js";
import * as format from "./format.js";

const CHECK_DELAY_MS = 200;
const LOGGED_OUT = "You are not logged in any more. Log in again in another tab, then run it here.";

const page = document.querySelector("[data-new-job]");
const form = page.querySelector("#job");
const find = (name) => page.querySelector(`[data-${name}]`);
const [status, problem, notice, sendButton, clearButton] = ["status", "problem", "notice", "send", "clear"].map(find);
const maxBytes = Number(page.dataset.maxBytes);
// What is being written, and what was written before something else took its place.
const store = { draft: `knossos.script.${page.dataset.user}`, before: `knossos.script-before.${page.dataset.user}` };

let timer = 0;
let sending = false;
// It is on its way: what is still in the field is no draft, unless somebody comes back to it.
let wasSent = false;
// Whether what is written here is not kept: it is too long for the browser's store.
let isUnkept = false;
const editor = new Editor(find("editor"), { onChange: checkSoon, onFile: openFile, indent: "    ", keepsIndent: true });

for (const one of page.querySelectorAll("[data-with-scripts]")) show(one, true);
find("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  if (file) openFile(file);
});
clearButton.addEventListener("click", () => replaceText("", "It is empty now."));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
editor.field.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  send();
});
window.addEventListener("pagehide", () => check());
window.addEventListener("pageshow", () => {
  wasSent = false;
  busy(false);
});
window.addEventListener("beforeunload", (event) => {
  if (isUnkept) event.preventDefault();
});
begin();

/** Begin with what the server has put in, such as an earlier script, or else with what was written here last. */
function begin() {
  const draft = kept(store.draft);
  if (editor.text !== "") {
    if (page.dataset.source !== "") {
      // From here on it is what is being written: loading anew must not undo a change.
      window.history.replaceState(null, "", window.location.pathname);
      if (draft !== "" && draft !== editor.text) keep(store.before, draft);
    }
    offerOld(page.dataset.source);
  } else if (draft !== "") {
    editor.text = draft;
    offerOld("This is what you wrote here last.");
  } else offerOld("");
  check();
}

function checkSoon() {
  window.clearTimeout(timer);
  timer = window.setTimeout(check, CHECK_DELAY_MS);
}

/** Keep the draft, and say how long it is; true where it can be sent. */
function check() {
  window.clearTimeout(timer);
  const text = editor.text;
  const bytes = new Blob([text]).size;
  const isTooLong = bytes > maxBytes;
  const isEmpty = text.trim() === "";
  isUnkept = !wasSent && !keep(store.draft, isEmpty ? "" : text);
  show(clearButton, text !== "");
  status.dataset.kind = isTooLong ? "bad" : "";
  const lines = format.count(editor.lines, "line");
  const most = format.bytes(maxBytes);
  if (isTooLong) setText(status, `${format.bytes(bytes)}: a script may have at most ${most}.`);
  else if (isEmpty) setText(status, `At most ${most}. Write it, or open a file.`);
  else setText(status, `${lines}, ${format.bytes(bytes)} of at most ${most}.${isUnkept ? " Too long to be kept in this browser." : ""}`);
  return !isTooLong && !isEmpty;
}

async function send() {
  if (sending) return;
  if (check()) await post(new Blob([editor.text]));
  else if (status.dataset.kind !== "bad") refuse("The script is empty.");
  else refuse(status.textContent);
}

async function post(script) {
  busy(true);
  show(problem, false);
  try {
    const response = await fetch(page.dataset.runUrl + toldOf(), { method: "POST", body: script, headers: { "Content-Type": "application/octet-stream" } });
    const answer = await response.json().catch(() => ({}));
    if (response.ok) {
      wasSent = true;
      keep(store.draft, "");
      keep(store.before, "");
      window.location.assign(page.dataset.jobUrl.replace("/0", `/${answer.job_id}`));
      return;
    }
    if (response.status === 401) refuse(LOGGED_OUT, element("a", { href: page.dataset.loginUrl, target: "_blank" }, "Log in"));
    else if (answer.errors?.[0]?.path.startsWith("notice")) refuse(`Tell me when it ends: ${answer.errors[0].message}`);
    else refuse(answer.message ?? `The server answered ${response.status}. Try again in a moment.`);
  } catch {
    refuse("The server could not be reached. Check your connection and try again; what you wrote is still here.");
  }
  busy(false);
}

/** Who is told of its end, as the interface for programs takes it: a query, or nothing. */
function toldOf() {
  const query = new URLSearchParams();
  for (const name of ["notice", "notice_mail", "notice_webhook"]) {
    const field = form.elements[name];
    if (field && field.value && (field.type !== "checkbox" || field.checked)) query.set(name, field.value);
  }
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

function busy(now) {
  sending = now;
  sendButton.disabled = now;
  setText(sendButton, now ? "Sending…" : "Run this script");
}

function refuse(...words) {
  problem.replaceChildren(...words.flatMap((word, index) => (index ? [" ", word] : [word])));
  show(problem, true);
  problem.focus();
  problem.scrollIntoView({ block: "nearest" });
}

// --- files and what was there before ------------------------------------------------------------------

async function openFile(file) {
  if (file.size > maxBytes) {
    refuse(`${file.name} has ${format.bytes(file.size)}: a script may have at most ${format.bytes(maxBytes)}.`);
    return;
  }
  show(problem, false);
  const bytes = await file.arrayBuffer();
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    if (text.includes("\0")) throw new TypeError("no text");
    replaceText(text, `This is ${file.name}.`);
  } catch {
    const button = element("button", { type: "button", class: "btn btn-sm btn-outline-secondary", onclick: () => post(file) }, "Run it as it is");
    refuse(`${file.name} is no text in UTF-8, so it cannot be edited here.`, button);
  }
}

function replaceText(text, what) {
  const before = editor.text;
  if (before.trim() !== "" && before !== text) keep(store.before, before);
  editor.text = text;
  check();
  offerOld(what);
  editor.field.focus();
}

/** Say where the text comes from, and offer the one whose place it took. */
function offerOld(what) {
  const before = kept(store.before);
  const words = [what === "" ? null : element("span", {}, what)];
  if (before !== "" && before !== editor.text) {
    const back = () => {
      const now = editor.text;
      editor.text = before;
      keep(store.before, now.trim() === "" ? "" : now);
      check();
      offerOld("This is what you wrote before.");
      editor.field.focus();
    };
    words.push(element("button", { type: "button", class: "btn btn-sm btn-link", onclick: back }, "Put the text before it back"));
  }
  notice.replaceChildren(...words.filter(Boolean));
  show(notice, notice.childElementCount > 0);
}

function kept(name) {
  try {
    return window.localStorage.getItem(name) ?? "";
  } catch {
    return "";
  }
}

/** Keep a text, or nothing where it is empty; false where the browser's store has no room for it, or is closed. */
function keep(name, text) {
  try {
    if (text === "") window.localStorage.removeItem(name);
    else window.localStorage.setItem(name, text);
    return true;
  } catch {
    return false;
  }
}
