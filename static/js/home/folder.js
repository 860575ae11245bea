// The page of a folder: choosing entries and what is done with them, uploads, and the list as it is after each of these.

import { setText, show } from "../dom.js";
import * as format from "../format.js";
import { askTwice } from "../publish/twice.js";
import { called, each, renameInPlace, transfer } from "./actions.js";
import * as api from "./api.js";
import { Chooser } from "./chooser.js";
import { ofDrop, ofInput } from "./dropped.js";
import { Uploads } from "./uploads.js";

/** Milliseconds between two looks at the list while files come. */
const LOOK_EVERY_MS = 1500;

const page = document.querySelector("[data-home]");
const find = (name) => page.querySelector(`[data-${name}]`);
const chooser = new Chooser(find("chooser"));
const uploads = new Uploads(find("uploads"), inside(), filesCame);
let lastChosen = null;
let lookTimer = null;
let looking = Promise.resolve();

for (const node of page.querySelectorAll("[data-needs-scripts]")) show(node, true);
bindList();
showRoom();
bindUploads();
find("new").addEventListener("toggle", () => {
  if (find("new").open) find("new").querySelector("input").focus();
});

function inside() {
  return page.dataset.path ? `${page.dataset.path}/` : "";
}

// --- the list ---------------------------------------------------------------------------------------

function rows() {
  return [...page.querySelectorAll("[data-row]")];
}

function box(row) {
  return row.querySelector('input[name="name"]');
}

function chosen() {
  return rows().filter((row) => box(row).checked);
}

function itemOf(row) {
  return { path: row.dataset.path, name: row.dataset.name };
}

function bindList() {
  const list = find("list");
  lastChosen = null;
  if (!list) return;
  for (const node of list.querySelectorAll("[data-needs-scripts]")) show(node, true);
  const all = find("choose-all");
  show(all, true);
  all.addEventListener("change", () => {
    for (const row of rows()) box(row).checked = all.checked;
    showChosen();
  });
  list.querySelector("tbody").addEventListener("click", chooseRange);
  list.addEventListener("change", showChosen);
  list.querySelector("table").addEventListener("keydown", pressed);
  const act = (name) => list.querySelector(`[data-act="${name}"]`);
  act("zip").addEventListener("click", download);
  act("rename").addEventListener("click", () => renameRow(chosen()[0]));
  act("move").addEventListener("click", () => moveOrCopy("Move"));
  act("copy").addEventListener("click", () => moveOrCopy("Copy"));
  // Without scripts it leads to a page that asks.
  act("delete").type = "button";
  askTwice(act("delete"), "Really delete?", removeChosen);
  showChosen();
}

function chooseRange(event) {
  const input = event.target.closest('input[name="name"]');
  if (!input) return;
  const all = rows().map(box);
  const [from, to] = [all.indexOf(lastChosen), all.indexOf(input)];
  if (event.shiftKey && from >= 0) {
    for (const one of all.slice(Math.min(from, to), Math.max(from, to) + 1)) one.checked = input.checked;
    showChosen();
  }
  lastChosen = input;
}

function showChosen() {
  const some = chosen();
  const size = some.reduce((sum, row) => sum + Number(row.dataset.size), 0);
  const selection = find("selection");
  selection.toggleAttribute("data-some", some.length > 0);
  selection.toggleAttribute("data-none", some.length === 0);
  setText(find("selected"), some.length ? `${some.length} chosen${size ? `, ${format.bytes(size)}` : ""}` : "Nothing chosen");
  for (const button of selection.querySelectorAll("button")) {
    button.disabled = some.length === 0 || (button.dataset.act === "rename" && some.length !== 1);
  }
  find("choose-all").checked = some.length > 0 && some.length === rows().length;
  find("choose-all").indeterminate = some.length > 0 && some.length < rows().length;
}

function pressed(event) {
  const row = event.target.closest("[data-row]");
  if (!row || event.altKey || event.ctrlKey || event.metaKey) return;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    const next = rows()[rows().indexOf(row) + step];
    if (next) focusRow(next);
  } else if (event.key === "F2") renameRow(row);
  else if (event.key === " " && event.target.tagName === "A") {
    box(row).checked = !box(row).checked;
    showChosen();
  } else if (event.key === "Delete") {
    if (!box(row).checked) for (const one of rows()) box(one).checked = one === row;
    showChosen();
    const button = page.querySelector('[data-act="delete"]');
    button.focus();
    button.click();
  } else return;
  event.preventDefault();
}

function focusRow(row) {
  (row.querySelector(".home-name a") ?? box(row)).focus();
}

// --- what is done -----------------------------------------------------------------------------------

function download(event) {
  const some = chosen();
  // One file needs no zip, and one folder has an address of its own.
  if (some.length !== 1) return;
  const link = some[0].querySelector(".home-download");
  if (!link) return;
  event.preventDefault();
  link.click();
}

function renameRow(row) {
  const name = row.querySelector(".home-name > :not(.home-icon)");
  renameInPlace(name, itemOf(row), async (path) => {
    if (path === null) {
      focusRow(row);
      return;
    }
    say([], "Renamed.");
    await look();
    const now = rows().find((one) => one.dataset.path === path);
    if (now) focusRow(now);
  });
}

async function moveOrCopy(verb) {
  const items = chosen().map(itemOf);
  const done = await transfer(chooser, verb, items);
  if (done === null) return;
  const count = items.length - done.problems.length;
  say(done.problems, count ? `${verb === "Move" ? "Moved" : "Copied"} ${format.count(count, "entry", "entries")} to ${["Home", ...done.to].join("/")}.` : "");
  await look();
  showRoom();
}

async function removeChosen() {
  const items = chosen().map(itemOf);
  const problems = await each(items, async (item) => {
    try {
      await api.remove(item.path);
    } catch (refusal) {
      if (refusal.status !== 404) throw refusal; // somebody was quicker
    }
  });
  say(problems, `Deleted ${called(items)}.`);
  await look();
  showRoom();
  (rows()[0] ? focusRow : () => find("new").querySelector("summary").focus())(rows()[0]);
}

function say(problems, text) {
  const problem = find("problem");
  show(problem, problems.length > 0);
  setText(problem, problems.slice(0, 5).join(" ") + (problems.length > 5 ? ` And ${problems.length - 5} more.` : ""));
  setText(find("announce"), problems.length ? "" : text);
}

/** Take the list as it is now from the server, one look after the other: an old answer must not undo a newer one. */
function look() {
  looking = looking.then(takeList, takeList);
  return looking;
}

/** What was chosen stays so. */
async function takeList() {
  if (page.querySelector("[data-renaming]")) return;
  const response = await fetch(window.location.href).catch(() => null);
  if (!response) return;
  if (response.redirected || !response.ok) {
    // Whoever has to log in anew, say, can send again what was not sent: files cannot be chosen by the page.
    if (!uploads.isUnfinished()) window.location.reload();
    return;
  }
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html").querySelector('[data-swap="list"]');
  if (!fresh) return;
  const values = new Set(chosen().map((row) => box(row).value));
  page.querySelector('[data-swap="list"]').replaceChildren(...fresh.childNodes);
  for (const row of rows()) box(row).checked = values.has(box(row).value);
  for (const node of page.querySelectorAll('[data-swap="list"] [data-needs-scripts]')) show(node, true);
  bindList();
}

async function showRoom() {
  const room = await api.room();
  if (!room) return;
  const fraction = Math.min(1, room.used / room.quota);
  show(find("room"), true);
  find("room").toggleAttribute("data-full", fraction > 0.95);
  find("room-fill").style.width = `${fraction * 100}%`;
  find("room").querySelector("[role=progressbar]").setAttribute("aria-valuenow", String(Math.round(fraction * 100)));
  setText(find("room-text"), room.used > room.quota ? `Full: it may hold ${format.bytes(room.quota)}` : `${format.bytes(room.used)} of ${format.bytes(room.quota)} used`);
}

// --- uploads ----------------------------------------------------------------------------------------

function filesCame(all) {
  if (all) {
    window.clearTimeout(lookTimer);
    lookTimer = null;
    look();
    showRoom();
  } else {
    lookTimer ??= window.setTimeout(() => {
      lookTimer = null;
      look();
    }, LOOK_EVERY_MS);
  }
}

function bindUploads() {
  for (const name of ["choose-files", "choose-folder"]) {
    find(name).addEventListener("change", (event) => {
      uploads.add(ofInput(event.target));
      // The same files can be chosen once more.
      event.target.value = "";
    });
  }
  const target = find("drop");
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0;
  const mark = (by) => {
    depth = by === 0 ? 0 : Math.max(0, depth + by);
    target.classList.toggle("is-drop-target", depth > 0);
  };
  document.addEventListener("dragenter", (event) => hasFiles(event) && mark(1));
  document.addEventListener("dragleave", (event) => hasFiles(event) && mark(-1));
  document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  document.addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(0);
    try {
      uploads.add(await ofDrop(event.dataTransfer));
    } catch {
      say(["What was dropped cannot be read."], "");
    }
  });
}
