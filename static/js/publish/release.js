// The form of a release: keeps what is written, sends it to be checked or published, and shows every problem at its field.

import { element, setText, show } from "../dom.js";
import { Refusal, sendJson } from "./api.js";
import { PackageForm } from "./package_form.js";
import { Pictures } from "./pictures.js";

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

page.querySelector("[data-start-over]").addEventListener("click", () => {
  isSent = true;
  localStorage.removeItem(draftStore);
  window.location.reload();
});
page.querySelector("[data-add-package]").addEventListener("click", () => {
  addPackage({}).node.querySelector("input").focus();
  changed();
});
form.addEventListener("input", changed);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  send(editing ? "change" : (event.submitter?.dataset.send ?? "publish"));
});
window.addEventListener("beforeunload", (event) => {
  if (packages.some((one) => one.isBusy)) event.preventDefault();
});
window.addEventListener("pagehide", keepWhatWaits);

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
  one.node.querySelector("[data-remove-package]").addEventListener("click", () => {
    one.close();
    packages = packages.filter((other) => other !== one);
    changed();
  });
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
  clearProblems();
  if (packages.some((one) => one.isBusy)) {
    tell("Some archives are still on their way.", "Wait until each is stored, then send it again.", []);
    return;
  }
  for (const button of form.querySelectorAll("[data-send]")) button.disabled = true;
  setText(status, way === "change" ? "Saving…" : "The server reads the archives and checks them…");
  try {
    const answer = await untilChecked(() => sendJson(WAYS[way], collect()));
    finish(way, answer);
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    refused(refusal);
  } finally {
    for (const button of form.querySelectorAll("[data-send]")) button.disabled = false;
    setText(status, "");
  }
}

// A long check is joined by sending the same again.
async function untilChecked(attempt) {
  for (;;) {
    try {
      return await attempt();
    } catch (refusal) {
      if (refusal.reason !== "still checking") throw refusal;
    }
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
    window.location.assign(done);
    return;
  }
  tell(way === "change" ? "It is saved." : "It is published.", "What you may want to know:", warnings, "good");
  report.append(element("p", { class: "mb-0" }, element("a", { class: "btn btn-primary", href: done }, "Go on")));
}

function refused(refusal) {
  const count = refusal.errors.length;
  const head = count ? `${count === 1 ? "One thing has" : `${count} things have`} to be mended.` : "It was refused.";
  tell(head, count ? "Nothing was published." : refusal.message, refusal.errors, "bad");
}

function tell(head, text, problems, kind = "bad") {
  report.dataset.kind = kind;
  setText(report.querySelector("[data-report-title]"), head);
  setText(report.querySelector("[data-report-text]"), text);
  report.querySelector("[data-report-list]").replaceChildren(
    ...problems.map((one) => {
      const field = fieldAt(one.path);
      if (!field) return element("li", {}, one.path ? element("code", {}, one.path) : null, one.path ? " " : null, one.message);
      if (kind === "bad" && field.matches("input, select, textarea")) field.setAttribute("aria-invalid", "true");
      else if (kind === "bad") field.dataset.wrong = "";
      const go = element("button", { type: "button", class: "link-button" }, nameOf(field));
      go.addEventListener("click", () => {
        field.scrollIntoView({ block: "center" });
        (field.matches("input, select, textarea") ? field : field.querySelector("input, select, textarea, button"))?.focus({ preventScroll: true });
      });
      return element("li", {}, go, " ", one.message);
    }),
  );
  show(report, true);
  report.focus();
}

/** The field, row or package at a path, or at the longest beginning of it. */
function fieldAt(path) {
  for (let at = path ?? ""; at; at = at.slice(0, Math.max(0, at.lastIndexOf(".")))) {
    const found = form.querySelector(`[data-path="${CSS.escape(at)}"]`);
    if (found) return found;
  }
  return null;
}

function nameOf(field) {
  const label = field.labels?.[0]?.childNodes[0]?.textContent.trim();
  const inPackage = field.closest("[data-package]")?.querySelector("[data-package-title]").textContent;
  const own = field.matches("[data-package]") ? "" : label || field.querySelector("strong")?.textContent || "";
  return [inPackage, own].filter(Boolean).join(", ") || "Here";
}

function clearProblems() {
  show(report, false);
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  for (const node of form.querySelectorAll("[data-wrong]")) delete node.dataset.wrong;
}

function keepDraft() {
  try {
    localStorage.setItem(draftStore, JSON.stringify({ ...collect(), ...ofPictures((field) => field.names) }));
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
