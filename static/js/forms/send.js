// Sends a form to POST /scripting as the LinkAhead protocol has it, and shows in place what the script writes and how it
// ended. The server is asked to answer at once; one that waits for the end all the same is understood, too.

import { element, setText, show } from "../dom.js";
import { Feed } from "../feed.js";
import { OutputView } from "../output_view.js";

const STATES = { queued: "Waiting", running: "Running", succeeded: "Done", failed: "Failed", cancelled: "Cancelled" };
const SANDBOX = "allow-popups allow-popups-to-escape-sandbox";

export class ScriptError extends Error {}

/** Where a form shows what comes of it: below its fields. */
export class ResultView {
  constructor(form) {
    this.badge = element("span", { class: "state-badge" });
    this.ending = element("span", { role: "status" });
    this.link = element("a", { hidden: true }, "The page of this run");
    this.frame = element("iframe", { class: "output-frame", sandbox: SANDBOX, referrerpolicy: "no-referrer", title: "Output of the script", hidden: true });
    this.files = element("ul", { class: "form-files", "aria-label": "Files", hidden: true });
    this.lines = outputMarkup();
    this.root = element(
      "section",
      { class: "form-result", "aria-label": "Result", hidden: true },
      element("div", { class: "watch-meta" }, this.badge, this.ending, this.link),
      this.frame,
      this.files,
      this.lines,
    );
    form.append(this.root);
  }

  /** Begin anew. */
  start() {
    const fresh = outputMarkup();
    this.lines.replaceWith(fresh);
    this.lines = fresh;
    this.output = new OutputView(fresh);
    show(this.root, true);
    show(this.link, false);
    show(this.frame, false);
    show(this.files, false);
    this.state("queued", "");
  }

  state(state, text) {
    setText(this.badge, STATES[state] ?? state);
    this.badge.dataset.state = state;
    setText(this.ending, text);
  }
}

function outputMarkup() {
  return element(
    "div",
    { class: "form-output" },
    element(
      "div",
      { class: "panel-head" },
      element("span", { class: "hint", "data-count": true }),
      element("button", { class: "btn btn-sm btn-outline-secondary to-the-end", type: "button", "data-follow": true, "aria-pressed": "true" }, "Following"),
    ),
    element(
      "div",
      { class: "log-box" },
      element("div", { class: "log-lines out-lines", role: "log", "aria-live": "off", "aria-label": "Output of the script", tabindex: "0", "data-lines": true }),
      element("p", { class: "log-empty", "data-empty": true }),
    ),
  );
}

/** Run the script with what was filled in, and show it; settled when it has ended. */
export async function run(script, { values, files }, result, address = "/scripting") {
  const body = new FormData();
  body.append("call", script);
  body.append("-p0", new Blob([JSON.stringify(values)], { type: "application/json" }), "form.json");
  files.forEach((file, number) => body.append(`file-${number}`, file, file.name));
  result.start();
  try {
    const response = await fetch(address, { method: "POST", body, headers: { Prefer: "respond-async" } });
    const text = await response.text();
    const answer = new DOMParser().parseFromString(text, "text/xml");
    if (!response.ok) throw new ScriptError(errorOf(answer) || `The server answered ${response.status}.`);
    if (response.status === 202) await follow(answer.querySelector("run"), result);
    else showWhole(answer.querySelector("script"), result);
  } catch (error) {
    result.state("failed", error instanceof ScriptError ? error.message : "The server could not be reached. Try again.");
    result.output.end();
  }
}

function errorOf(answer) {
  return answer.querySelector("Error")?.getAttribute("description") ?? "";
}

/** All of it at once, as the protocol has it where one waits. */
function showWhole(script, result) {
  if (!script) throw new ScriptError("The server's answer makes no sense.");
  for (const stream of ["stdout", "stderr"]) result.output.add(stream, script.querySelector(stream)?.textContent ?? "");
  result.output.end();
  const code = script.getAttribute("code");
  result.state(code === "0" ? "succeeded" : "failed", `Exit code ${code}`);
}

async function follow(accepted, result) {
  if (!accepted) throw new ScriptError("The server's answer makes no sense.");
  const token = accepted.getAttribute("token") ?? "";
  const url = new URL(`/api/runs/${accepted.getAttribute("id")}`, window.location.href);
  if (token) url.searchParams.set("token", token);
  const run = await load(url);
  result.link.href = run.page;
  show(result.link, true);
  const handlers = {
    output: ([stream, text]) => result.output.add(stream, text),
    progress: ([fraction, text]) => result.state("running", `${Math.floor(fraction * 100)} % ${text}`),
    state: ([{ state, text }]) => result.state(state === "retrying" ? "queued" : state, text ?? ""),
  };
  const feed = new Feed({
    socketUrl: run.socket,
    eventsUrl: run.events,
    token,
    onMessage: (event, args) => handlers[event]?.(args),
    onState: () => undefined,
  });
  await feed.run();
  result.output.end();
  showEnd(await load(url), result);
}

function showEnd(run, result) {
  const code = run.outcome === "exited" ? `Exit code ${run.exit_code}` : run.error;
  result.state(run.state, code);
  const given = run.files.filter(({ kind }) => !["stdout", "stderr"].includes(kind));
  const links = given.map(({ name, url }) => element("li", {}, element("a", { href: url, download: name.split("/").pop() }, name)));
  result.files.replaceChildren(...links);
  show(result.files, links.length > 0);
  if (run.output !== "html") return;
  result.frame.src = run.html;
  show(result.frame, true);
  // The page is what was meant; as text only what went wrong is of interest.
  result.lines.querySelector("[data-lines]").dataset.show = "stderr";
  show(result.lines, result.lines.querySelector("[data-stream=stderr]") !== null);
}

async function load(url) {
  const response = await fetch(url);
  if (!response.ok) throw new ScriptError("This run cannot be seen any more.");
  return response.json();
}
