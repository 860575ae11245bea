// The page of a file: renaming, moving, copying and removing it.

import { setText, show } from "../dom.js";
import { askTwice } from "../publish/twice.js";
import { each, renameInPlace, transfer } from "./actions.js";
import * as api from "./api.js";
import { Chooser } from "./chooser.js";

const page = document.querySelector("[data-home]");
const find = (name) => page.querySelector(`[data-${name}]`);
const act = (name) => page.querySelector(`[data-act="${name}"]`);
const item = { path: page.dataset.path, name: page.dataset.name };
const chooser = new Chooser(find("chooser"));

for (const node of page.querySelectorAll("[data-needs-scripts]")) show(node, true);
act("rename").addEventListener("click", () => {
  const title = find("title");
  renameInPlace(title, item, (path) => {
    if (path === null) act("rename").focus();
    else window.location.assign(`/home/${path}`);
  });
});
act("move").addEventListener("click", () => moveOrCopy("Move"));
act("copy").addEventListener("click", () => moveOrCopy("Copy"));
// Without scripts it leads to a page that asks.
act("delete").type = "button";
askTwice(act("delete"), "Really delete?", async () => {
  const problems = await each([item], () => api.remove(item.path));
  if (problems.length) say(problems);
  else window.location.assign(page.dataset.folder);
});

async function moveOrCopy(verb) {
  const done = await transfer(chooser, verb, [item]);
  if (done === null) return;
  if (done.problems.length) say(done.problems);
  else window.location.assign(["/home", ...done.to.map(api.encodeName)].join("/"));
}

function say(problems) {
  show(find("problem"), true);
  setText(find("problem"), problems.join(" "));
}
