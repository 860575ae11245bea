// The page /converter: checks the description as it is typed, sends it, and shows what the server objects to.

import { element, setText, show } from "./dom.js";
import { Editor } from "./editor.js";
import * as format from "./format.js";
import { findProblem, lineOf, offsetOf, positions } from "./json_text.js";

const KEY_STORE = "knossos.apiKey";
// What is written here, until the tab is closed: so that it is still there when one comes back to it.
const DRAFT_STORE = "knossos.draft";
const CHECK_DELAY_MS = 200;

const page = document.querySelector("[data-converter]");
const form = page.querySelector("form");
const status = page.querySelector("[data-status]");
const problems = page.querySelector("[data-problems]");
const notice = page.querySelector("[data-notice]");
const submitButton = form.querySelector("[type=submit]");
const keyField = form.querySelector("[name=passwd]");
const remember = form.querySelector("[data-remember]");
const maxBytes = Number(page.dataset.maxBytes);

let timer = 0;
// The text that is on its way into the field: whoever presses the button meanwhile means that one.
let arriving = Promise.resolve();
const editor = new Editor(page.querySelector("[data-editor]"), {
  onChange() {
    window.clearTimeout(timer);
    timer = window.setTimeout(check, CHECK_DELAY_MS);
  },
  onFile: bring(openFile),
});

if (keyField) {
  keyField.value = sessionStorage.getItem(KEY_STORE) ?? "";
  remember.checked = keyField.value !== "";
}
page.querySelector("[data-example]").addEventListener("click", bring(insertExample));
page.querySelector("[data-file]").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) bring(openFile)(file);
  event.target.value = "";
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
const keptDraft = takeDraft();
check();
bring(begin)();

/** Say whether the text is JSON; true when it is. */
function check() {
  window.clearTimeout(timer);
  clearProblems();
  keepDraft();
  const problem = findProblem(editor.text);
  const empty = editor.text.trim() === "";
  editor.markAt(problem && !empty ? problem.offset : null);
  status.dataset.kind = empty ? "" : problem ? "bad" : "good";
  if (empty) setText(status, "Paste a description, open a file, or start from the example.");
  else if (problem) setText(status, `Line ${lineOf(editor.text, problem.offset)}: ${problem.message}`);
  else setText(status, `Well-formed JSON, ${format.count(editor.text.split("\n").length, "line")}.`);
  return problem;
}

/** That function, which brings a text, so that sending waits for it. */
function bring(text) {
  return (...given) => {
    arriving = text(...given);
  };
}

async function submit() {
  await Promise.allSettled([arriving]);
  const problem = check();
  if (problem) {
    editor.goTo(problem.offset);
    return;
  }
  rememberKey();
  submitButton.disabled = true;
  setText(submitButton, "Sending…");
  try {
    const response = await fetch(form.action, { method: "POST", body: new FormData(form) });
    await handle(response);
  } catch {
    showProblems("The server could not be reached. Check your connection and try again.", []);
  } finally {
    submitButton.disabled = false;
    setText(submitButton, "Package this mod");
  }
}

async function handle(response) {
  const isJson = (response.headers.get("Content-Type") ?? "").startsWith("application/json");
  const body = isJson ? await response.json() : { error: true, message: (await response.text()).slice(0, 300) };
  if (response.ok && body.ticket) {
    const url = new URL(page.dataset.watchUrl.replace("/0", `/${body.ticket}`), window.location.href);
    url.searchParams.set("token", body.token);
    window.location.assign(url);
  } else if (response.status === 403) {
    showProblems("Access denied: this API key is not one of the server's.", []);
    keyField?.focus();
  } else {
    showProblems(body.message ?? "The server refused this description.", body.errors ?? []);
  }
}

function clearProblems() {
  show(problems, false);
  problems.replaceChildren();
}

function showProblems(message, errors) {
  const places = errors.length > 0 ? positions(editor.text) : null;
  const rows = errors.map((error) => {
    if (error.path === "webhook") return element("li", {}, element("code", {}, error.path), element("span", {}, error.message));
    const offset = offsetOf(places, error.path);
    return element(
      "li",
      {},
      element("code", {}, error.path || "(the whole)"),
      element("span", {}, error.message),
      element(
        "button",
        { type: "button", class: "btn btn-sm btn-outline-secondary", onclick: () => editor.goTo(offset) },
        `Line ${lineOf(editor.text, offset)}`,
      ),
    );
  });
  const title = errors.length > 0 ? `${format.count(errors.length, "thing")} to put right` : "Nothing was queued";
  problems.replaceChildren(
    element("h2", { class: "panel-title" }, title),
    errors.length === 0 ? element("p", {}, message) : element("ul", { class: "problem-list" }, rows),
  );
  show(problems, true);
  const first = errors.find((error) => error.path !== "webhook");
  if (first) editor.reveal(offsetOf(places, first.path));
  problems.focus();
  problems.scrollIntoView({ block: "nearest" });
}

async function openFile(file) {
  if (file.size > maxBytes) {
    showProblems(`${file.name} is larger than a description may be (${format.bytes(maxBytes)}).`, []);
    return;
  }
  replaceText(await file.text(), `Opened ${file.name}.`);
}

/** Bring back the description of a task that is to be sent again, or what was written here last. */
async function begin() {
  const query = new URLSearchParams(window.location.search);
  if (query.has("again")) {
    // The draft is kept by now: coming back, or loading anew, must not undo what is changed from here on.
    window.history.replaceState(null, "", window.location.pathname);
    const url = new URL(page.dataset.descriptionUrl.replace("/0/", `/${query.get("again")}/`), window.location.href);
    url.searchParams.set("token", query.get("token") ?? "");
    try {
      const response = await fetch(url);
      if (!response.ok) throw new Error(String(response.status));
      replaceText(await response.text(), `This is the description of task #${query.get("again")}.`);
    } catch {
      showProblems("The description of that task could not be had: it may have been removed since.", []);
    }
  } else if (keptDraft) {
    const empty = element("button", { type: "button", class: "btn btn-sm btn-link" }, "Start with an empty one");
    empty.addEventListener("click", () => {
      editor.text = "";
      check();
      show(notice, false);
      editor.field.focus();
    });
    notice.replaceChildren(element("span", {}, "This is what you wrote here last."), empty);
    show(notice, true);
  }
}

function keepDraft() {
  try {
    if (editor.text.trim() === "") sessionStorage.removeItem(DRAFT_STORE);
    else sessionStorage.setItem(DRAFT_STORE, editor.text);
  } catch {
    // The store is full: it holds a few megabytes.
    sessionStorage.removeItem(DRAFT_STORE);
  }
}

/** Put the draft into the empty field; whether there was one. */
function takeDraft() {
  const draft = sessionStorage.getItem(DRAFT_STORE) ?? "";
  if (draft === "" || editor.text.trim() !== "") return false;
  editor.text = draft;
  return true;
}

async function insertExample() {
  try {
    const response = await fetch(page.dataset.exampleUrl);
    if (!response.ok) throw new Error(String(response.status));
    replaceText(await response.text(), "This is the example.");
  } catch {
    showProblems("The example could not be had. Check your connection and try again.", []);
  }
}

function replaceText(text, what) {
  const before = editor.text;
  editor.text = text;
  check();
  if (before.trim() === "" || before === text) {
    show(notice, false);
    return;
  }
  const undo = element("button", { type: "button", class: "btn btn-sm btn-link" }, "Put my text back");
  undo.addEventListener("click", () => {
    editor.text = before;
    check();
    show(notice, false);
    editor.field.focus();
  });
  notice.replaceChildren(element("span", {}, `${what} Your text was replaced.`), undo);
  show(notice, true);
}

function rememberKey() {
  if (!keyField) return;
  if (remember.checked) sessionStorage.setItem(KEY_STORE, keyField.value);
  else sessionStorage.removeItem(KEY_STORE);
}
