// The form of a release: keeps what is written, sends it to be checked or published, and shows every problem at its field.

import { element, setText, show } from "../dom.js";
import { Refusal, sendJson, untilChecked } from "./api.js";
import { PackageForm } from "./package_form.js";
import { Pictures } from "./pictures.js";
import { clearProblems, showProblems, unmark } from "./problems.js";
import { sayNext } from "./said.js";
import { askTwice } from "./twice.js";

const KEEP_DELAY_MS = 400;
const WAYS = { publish: "mod/release", check: "mod/release/dry_run", change: "mod/release/update" };

const page = document.querySelector("[data-release-form]");
const form = page.querySelector("form");
const report = page.querySelector("[data-report]");
const status = page.querySelector("[data-status]");
const packageList = page.querySelector("[data-packages]");
const { mod, title, type, parent, editing, done } = page.dataset;
const draftStore = `knossos.release.${mod}.${editing}`;
const templates = {
  package: page.querySelector("[data-package-template]"),
  dependencies: page.querySelector("[data-row-template=dependencies]"),
  executables: page.querySelector("[data-row-template=executables]"),
};
let packages = [];
let pictures = {};
let timer = 0;
let isSent = false;

const stored = JSON.parse(page.querySelector("[data-start]").textContent);
const draft = readDraft();
show(page.querySelector("[data-draft]"), draft !== null);
begin(draft ?? stored);

askTwice(page.querySelector("[data-start-over]"), "Really forget it?", () => {
  isSent = true;
  localStorage.removeItem(draftStore);
  window.location.reload();
});
const addButton = page.querySelector("[data-add-package]");
addButton.addEventListener("click", () => {
  addPackage({}).node.querySelector("input").focus();
  changed();
});
form.addEventListener("input", (event) => {
  unmark(event.target);
  changed();
});
form.addEventListener("keydown", (event) => {
  // The Enter key in a field would publish, and that cannot be taken back.
  if (event.key === "Enter" && event.target.matches("input:not([type=file])")) event.preventDefault();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  send(editing ? "change" : (event.submitter?.dataset.send ?? "publish"));
});
window.addEventListener("beforeunload", (event) => {
  if (packages.some((one) => one.isBusy)) event.preventDefault();
});
window.addEventListener("pagehide", keepWhatWaits);
// A file dropped beside its place would be opened by the browser instead of the page, with all that is on its way.
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, catchDrop);

function catchDrop(event) {
  const isField = event.target.closest?.("input[type=file], [data-drop]");
  if (isField || !event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  if (event.type === "drop") packages.find((one) => one.node.contains(event.target))?.take(event.dataTransfer.files);
}

function begin(data) {
  const values = {
    title,
    parent,
    stability: "stable",
    ...data,
    // A new version begins with what was said of the last one, but for its number.
    version: editing || data === draft ? data.version : "",
    mod_flag: (data.mod_flag ?? []).join(", "),
    videos: (data.videos ?? []).join("\n"),
  };
  for (const field of topFields()) {
    const value = values[field.dataset.path];
    if (field.type === "checkbox") field.checked = value === true;
    else field.value = value ?? "";
  }
  for (const node of page.querySelectorAll("[data-picture]")) {
    const name = node.dataset.picture;
    const known = data[name];
    pictures[name] = new Pictures(node, Array.isArray(known) ? known : known ? [known] : [], changed);
  }
  for (const one of data.packages ?? []) addPackage(one);
  if (!packages.length) addPackage({ name: "Core", status: "required" });
}

function topFields() {
  return Array.from(form.querySelectorAll("[data-path]")).filter(
    (field) => field.matches("input, select, textarea") && field.type !== "file" && !field.closest("[data-package]"),
  );
}

function addPackage(data) {
  const one = new PackageForm(templates, data, changed);
  const remove = () => {
    one.close();
    packages = packages.filter((other) => other !== one);
    addButton.focus();
    changed();
  };
  askTwice(one.node.querySelector("[data-remove-package]"), "Really remove it?", remove, () => one.isEmpty);
  packages.push(one);
  packageList.append(one.node);
  packages.forEach((other, index) => other.number(index));
  return one;
}

/** The release as it is sent. */
function collect() {
  const values = {};
  for (const field of topFields()) values[field.dataset.path] = field.type === "checkbox" ? field.checked : field.value.trim();
  return {
    ...values,
    id: mod,
    type,
    parent: values.parent || null,
    stability: type === "engine" ? values.stability : null,
    release_thread: values.release_thread || null,
    mod_flag: values.mod_flag.split(",").map((name) => name.trim()).filter(Boolean),
    videos: values.videos.split("\n").map((line) => line.trim()).filter(Boolean),
    attachments: (stored.attachments ?? []).map((name) => name.split(".")[0]),
    first_release: stored.first_release ?? null,
    ...ofPictures((field) => field.value),
    packages: packages.map((one) => one.data),
  };
}

function ofPictures(value) {
  return Object.fromEntries(Object.entries(pictures).map(([name, field]) => [name, value(field)]));
}

function changed() {
  packages.forEach((one, index) => one.number(index));
  window.clearTimeout(timer);
  timer = window.setTimeout(keepWhatWaits, KEEP_DELAY_MS);
}

function keepWhatWaits() {
  window.clearTimeout(timer);
  if (timer && !isSent) keepDraft();
  timer = 0;
}

async function send(way) {
  clearProblems(form);
  show(report, false);
  if (packages.some((one) => one.isBusy)) {
    tell("Some archives are still on their way.", "Wait until each is stored, then send it again.", []);
    return;
  }
  if (packages.some((one) => one.isShort)) {
    tell("Some archives have not arrived.", "Send them again, or remove them from their packages.", []);
    return;
  }
  const sent = collect();
  if (!sent.packages.some((one) => one.files.length || one.dependencies.length)) {
    tell("There is nothing in it yet.", "Add an archive, or a mod that it needs.", []);
    return;
  }
  for (const button of form.querySelectorAll("[data-send]")) button.disabled = true;
  setText(status, way === "change" ? "Saving…" : "The server reads the archives and checks them…");
  try {
    const answer = await untilChecked(() => sendJson(WAYS[way], sent));
    finish(way, answer);
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    refused(refusal);
  } finally {
    // After a success the next page is on its way: no second press.
    for (const button of form.querySelectorAll("[data-send]")) button.disabled = isSent;
    setText(status, "");
  }
}

function finish(way, answer) {
  const warnings = answer.warnings ?? [];
  if (way === "check") {
    tell("It can be published.", warnings.length ? "Look at these first:" : "Nothing is wrong with it.", warnings, "good");
    return;
  }
  isSent = true;
  window.clearTimeout(timer);
  localStorage.removeItem(draftStore);
  if (!warnings.length) {
    sayNext(way === "change" ? `What is said of ${editing} is changed.` : `${collect().version} is published.`);
    window.location.assign(done);
    return;
  }
  tell(way === "change" ? "It is saved." : "It is published.", "What you may want to know:", warnings, "good");
  report.append(element("p", { class: "mb-0" }, element("a", { class: "btn btn-primary", href: done }, "Go on")));
  show(form.querySelector(".sticky-actions"), false);
}

function refused(refusal) {
  const count = refusal.errors.length;
  const head = count ? `${count === 1 ? "One thing has" : `${count} things have`} to be mended.` : "It was refused.";
  tell(head, count ? (editing ? "Nothing was changed." : "Nothing was published.") : refusal.message, refusal.errors);
  const login = element("a", { class: "btn btn-outline-secondary", href: page.dataset.login, target: "_blank" }, "Log in");
  if (refusal.isLoggedOut) report.querySelector("[data-report-text]").append(" ", login);
}

function tell(head, text, problems, kind = "bad") {
  report.dataset.kind = kind;
  setText(report.querySelector("[data-report-title]"), head);
  setText(report.querySelector("[data-report-text]"), text);
  report.querySelector("[data-report-list]").replaceChildren(...showProblems(form, problems, { mark: kind === "bad" }));
  show(report, true);
  report.focus();
}

function keepDraft() {
  try {
    localStorage.setItem(draftStore, JSON.stringify({ ...collect(), ...ofPictures((field) => field.names), packages: packages.map((one) => one.draft) }));
  } catch {
    // A full or forbidden store only means that nothing is kept.
  }
}

function readDraft() {
  try {
    return JSON.parse(localStorage.getItem(draftStore));
  } catch {
    return null;
  }
}
