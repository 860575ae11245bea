// The form of a schedule: shows the fields that what was chosen needs, and the next times of a cron expression, which
// the server tells.

import { element, show } from "./dom.js";

const WAIT_MS = 250;

const form = document.querySelector("[data-schedule]");
const preview = form.querySelector("[data-preview]");
const { cron, zone } = form.elements;
let timer = null;
let asked = 0;

// A new schedule is most often meant in the time of whoever makes it.
const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (form.dataset.new !== undefined && zone.value === "UTC" && here) zone.value = here;

form.addEventListener("change", showFields);
form.addEventListener("input", soon);
showFields();
soon();

function showFields() {
  const kind = form.elements.kind.value;
  for (const part of form.querySelectorAll("[data-of]")) show(part, part.dataset.of === kind);
  for (const part of form.querySelectorAll("[data-when]")) show(part, part.dataset.when === form.elements.repeats.value);
  for (const part of form.querySelectorAll("[data-told]")) show(part, form.elements.when.value !== "never");
  const page = form.querySelector("#script")?.selectedOptions[0]?.dataset.page;
  const hint = form.querySelector("[data-has-form]");
  if (hint) {
    show(hint, Boolean(page));
    show(form.querySelector("[data-arguments]"), !page);
    hint.querySelector("a").href = page ?? "#";
  }
  // What is not shown must not be sent, nor be in the way.
  for (const field of form.querySelectorAll("[data-of] [name], [data-when] [name], [data-arguments] [name]")) field.disabled = Boolean(field.closest("[hidden]"));
}

function soon() {
  window.clearTimeout(timer);
  timer = window.setTimeout(look, WAIT_MS);
}

async function look() {
  asked += 1;
  const number = asked;
  if (!cron.value.trim() || cron.disabled) {
    show(preview, false);
    return;
  }
  const query = new URLSearchParams({ cron: cron.value, zone: zone.value });
  const response = await fetch(`${form.dataset.times}?${query}`).catch(() => null);
  const told = await response?.json().catch(() => null);
  if (number !== asked || !told) return;
  const times = told.times?.map((one) => element("li", {}, one.local));
  preview.replaceChildren(element("strong", {}, response.ok ? (times.length ? told.words : `${told.words}: it never comes`) : told.message), ...(times?.length ? [element("ul", {}, times)] : []));
  show(preview, true);
}
