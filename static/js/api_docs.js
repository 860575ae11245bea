// The page of the API: forms that ask this server, with what was typed, and show its answer. Without scripts they stay
// hidden, and the page lists everything all the same.

import { setText, show } from "./dom.js";

/** Longest answer that is shown, in characters. */
const MAX_SHOWN = 100_000;

const token = document.querySelector("[data-token]");
show(document.querySelector("[data-token-panel]"), true);

for (const form of document.querySelectorAll("[data-try]")) {
  show(form, true);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(form);
  });
}

openNamed();
window.addEventListener("hashchange", openNamed);

/** What an address names is opened, and brought into view: what was shown above it has moved it. */
function openNamed() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named instanceof HTMLDetailsElement) named.open = true;
  named?.scrollIntoView();
}

async function ask(form) {
  const status = form.querySelector("[data-answer-status]");
  const shown = form.querySelector("[data-answer]");
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  show(shown, false);
  tell(status, "Waiting for the answer ...");
  try {
    const started = performance.now();
    const response = await fetch(address(form), request(form));
    const text = await textOf(response);
    const milliseconds = Math.round(performance.now() - started);
    tell(status, `${response.status} ${response.statusText} after ${milliseconds} ms`, response.ok ? "good" : "bad");
    shown.textContent = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)} ...` : text;
    show(shown, text !== "");
  } catch (error) {
    tell(status, error instanceof TypeError ? "The server does not answer." : error.message, "bad");
  } finally {
    button.disabled = false;
  }
}

function tell(status, text, kind = "") {
  setText(status, text);
  status.dataset.kind = kind;
}

/** The fields of one place that have something in them. */
function filled(form, place) {
  return [...form.elements].filter((field) => field.dataset.place === place && field.value !== "");
}

function address(form) {
  let path = form.dataset.path;
  for (const field of filled(form, "path")) path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
  const query = new URLSearchParams(filled(form, "query").map((field) => [field.name, field.value]));
  return query.size ? `${path}?${query}` : path;
}

function request(form) {
  const headers = token.value ? { "X-KN-TOKEN": token.value } : {};
  for (const field of filled(form, "header")) headers[field.name] = field.value;
  const options = { method: form.dataset.method, headers, redirect: "follow", cache: "no-store" };
  const fields = filled(form, "form");
  switch (form.dataset.send) {
    case "json":
      headers["Content-Type"] = "application/json";
      options.body = form.querySelector("[data-json]").value;
      break;
    case "form":
      options.body = new URLSearchParams(fields.map((field) => [field.name, field.value]));
      break;
    case "multipart":
      options.body = new FormData();
      for (const field of fields) options.body.append(field.name, field.type === "file" ? field.files[0] : field.value);
      break;
  }
  return options;
}

/** The answer as text: JSON in lines, and of what is no text only the size. */
async function textOf(response) {
  const kind = response.headers.get("Content-Type") ?? "";
  if (kind.includes("json")) {
    const text = await response.text();
    try {
      return JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      return text;
    }
  }
  if (kind.startsWith("text/") || kind === "") return response.text();
  return `${(await response.blob()).size} bytes, ${kind}`;
}
