// The page /tasks: the newest tasks, asked for every two seconds; filter, sorting and paging happen here.

import { serverTime, setServerTime } from "./clock.js";
import { element, setText, show } from "./dom.js";
import * as format from "./format.js";

const POLL_EVERY_MS = 2000;
const PAGE_SIZE = 25;
const STATES = { queued: "Waiting", running: "Running", succeeded: "Done", failed: "Failed", cancelled: "Cancelled" };

const page = document.querySelector("[data-tasks]");
const find = (name) => page.querySelector(`[data-${name}]`);
setServerTime(Number(page.dataset.now));
const body = find("rows");
const filters = { state: find("filter-state"), kind: find("filter-kind"), text: find("filter-text") };

const order = { column: "ticket", descending: true };
// Newest tasks come anew with each poll, older ones stay as they were loaded.
let newest = [];
let older = [];
let more = false;
let pageNumber = 0;
let etag = null;

for (const control of Object.values(filters)) {
  control.addEventListener("input", () => {
    pageNumber = 0;
    draw();
  });
}
for (const button of page.querySelectorAll("[data-sort]")) button.addEventListener("click", () => sortBy(button.dataset.sort));
find("previous").addEventListener("click", () => turn(-1));
find("next").addEventListener("click", () => turn(1));
find("older").addEventListener("click", loadOlder);
poll();

async function poll() {
  try {
    const response = await fetch(page.dataset.url, { cache: "no-store", headers: etag ? { "If-None-Match": etag } : {} });
    if (response.status === 200) {
      etag = response.headers.get("ETag");
      const answer = await response.json();
      newest = answer.tasks;
      if (older.length === 0) more = answer.more;
      draw();
    } else if (response.status !== 304) {
      throw new Error(String(response.status));
    }
    setText(find("feed"), "Live");
    find("feed").dataset.feed = "live";
  } catch {
    setText(find("feed"), "Connection lost, trying again");
    find("feed").dataset.feed = "offline";
  }
  drawTimes();
  window.setTimeout(poll, POLL_EVERY_MS);
}

async function loadOlder() {
  const oldest = Math.min(...all().map((task) => task.ticket));
  const url = new URL(page.dataset.url, window.location.href);
  url.searchParams.set("before", String(oldest));
  const response = await fetch(url);
  if (!response.ok) return;
  const answer = await response.json();
  older = older.concat(answer.tasks);
  more = answer.more;
  draw();
}

function all() {
  const tasks = new Map([...older, ...newest].map((task) => [task.ticket, task]));
  return [...tasks.values()];
}

function sortBy(column) {
  order.descending = order.column === column ? !order.descending : column !== "title";
  order.column = column;
  draw();
}

function turn(by) {
  pageNumber += by;
  draw();
}

function matches(task) {
  const text = filters.text.value.trim().toLowerCase();
  return (
    (filters.state.value === "" || task.state === filters.state.value) &&
    (filters.kind.value === "" || task.kind === filters.kind.value) &&
    (text === "" || `${task.title} ${task.ticket} ${task.kind}`.toLowerCase().includes(text))
  );
}

function compare(a, b) {
  const [x, y] = [a[order.column] ?? -1, b[order.column] ?? -1];
  const sign = order.descending ? -1 : 1;
  const result = typeof x === "string" ? x.localeCompare(y) : x - y;
  return result === 0 ? b.ticket - a.ticket : sign * result;
}

function draw() {
  const tasks = all();
  drawKinds(tasks);
  const found = tasks.filter(matches).sort(compare);
  const pages = Math.max(1, Math.ceil(found.length / PAGE_SIZE));
  pageNumber = Math.min(Math.max(0, pageNumber), pages - 1);
  const shown = found.slice(pageNumber * PAGE_SIZE, (pageNumber + 1) * PAGE_SIZE);
  drawRows(shown);
  for (const button of page.querySelectorAll("[data-sort]")) {
    const active = button.dataset.sort === order.column;
    const direction = order.descending ? "descending" : "ascending";
    button.closest("th").setAttribute("aria-sort", active ? direction : "none");
  }
  setText(find("count"), found.length === tasks.length ? format.count(tasks.length, "task") : `${found.length} of ${format.count(tasks.length, "task")}`);
  setText(find("page"), `Page ${pageNumber + 1} of ${pages}`);
  show(find("paging"), pages > 1);
  find("previous").disabled = pageNumber === 0;
  find("next").disabled = pageNumber >= pages - 1;
  show(find("older"), more);
  show(find("empty"), tasks.length === 0);
  show(find("nothing-found"), tasks.length > 0 && found.length === 0);
  show(find("table"), found.length > 0);
}

function drawKinds(tasks) {
  const known = new Set([...filters.kind.options].map((option) => option.value));
  for (const [kind, name] of new Map(tasks.map((task) => [task.kind, task.kindName]))) {
    if (!known.has(kind)) filters.kind.append(element("option", { value: kind }, name));
  }
}

// Rows are kept by ticket, so that focus and selection survive an update.
function drawRows(tasks) {
  const kept = new Map([...body.children].map((row) => [row.dataset.ticket, row]));
  const rows = tasks.map((task) => {
    const row = kept.get(String(task.ticket)) ?? newRow(task);
    fill(row, task);
    return row;
  });
  const same = rows.length === body.children.length && rows.every((row, index) => body.children[index] === row);
  if (same) return;
  const focused = document.activeElement;
  body.replaceChildren(...rows);
  if (body.contains(focused)) focused.focus();
}

function newRow(task) {
  const cell = (name, ...children) => element("td", { "data-label": name }, ...children);
  return element(
    "tr",
    { "data-ticket": task.ticket },
    cell("Task", element("span", { class: "ticket" }, `#${task.ticket}`)),
    element("th", { scope: "row", "data-label": "Title" }, element("a", { href: task.watch }, task.title)),
    cell("Kind", task.kindName),
    cell("State", element("span", { class: "state-badge" })),
    cell("Progress", element("span", { class: "bar" }, element("span", { class: "bar-fill" })), element("span", { class: "task-stage" })),
    cell("Made", element("time", {})),
    cell("Time", element("span", { class: "task-time" })),
  );
}

function fill(row, task) {
  const badge = row.querySelector(".state-badge");
  setText(badge, STATES[task.state]);
  badge.dataset.state = task.state;
  const fraction = task.state === "succeeded" ? 1 : (task.fraction ?? 0);
  row.querySelector(".bar").hidden = task.state !== "running";
  row.querySelector(".bar-fill").style.width = `${fraction * 100}%`;
  const stage = row.querySelector(".task-stage");
  setText(stage, task.state === "running" ? `${format.percent(fraction)} ${task.text ?? ""}`.trim() : (task.message ?? ""));
  stage.title = stage.textContent;
  setText(row.querySelector("time"), format.clock(task.created));
  row.task = task;
  drawTime(row);
}

function drawTime(row) {
  const { started, ended } = row.task;
  setText(row.querySelector(".task-time"), started ? format.duration((ended ?? serverTime()) - started) : "");
}

function drawTimes() {
  for (const row of body.children) drawTime(row);
}
