// A mod's page: buttons that copy, and lists of installed files that are fetched when they are first opened.

import "./copy.js";
import { element, setText, show } from "./dom.js";
import { fileRow, treeRows } from "./file_tree.js";
import * as format from "./format.js";

/** Most files that a search shows. */
const MOST_FOUND = 200;

for (const details of document.querySelectorAll("[data-files]")) {
  details.addEventListener("toggle", () => open(details), { once: true });
}

async function open(details) {
  const place = element("div", { class: "file-list" }, element("p", { class: "hint", role: "status" }, "Loading the list"));
  details.append(place);
  try {
    const response = await fetch(details.dataset.files);
    if (!response.ok) throw new Error(String(response.status));
    place.replaceChildren(...listOf(pathsIn(await response.text())));
  } catch {
    setText(place.firstChild, "The list could not be loaded. The link above has it.");
  }
}

// Each line is a sum, two spaces and a path.
function pathsIn(text) {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.slice(line.indexOf("  ") + 2));
}

function listOf(paths) {
  const tree = element("ul", { class: "tree" }, treeRows(paths.map((path) => [path, null])));
  const found = element("ul", { class: "tree", hidden: true });
  const told = element("p", { class: "hint", role: "status" });
  const field = element("input", { class: "form-control form-control-sm", type: "search", placeholder: "Find a file", "aria-label": "Find a file" });
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    const matching = wanted ? paths.filter((path) => path.toLowerCase().includes(wanted)) : [];
    found.replaceChildren(...matching.slice(0, MOST_FOUND).map((path) => fileRow(path, null)));
    show(found, wanted !== "");
    show(tree, wanted === "");
    setText(told, wanted ? toldOf(matching.length) : "");
  });
  return [field, told, tree, found];
}

function toldOf(count) {
  const all = `${format.count(count, "file")} found`;
  return count > MOST_FOUND ? `${all}; the first ${MOST_FOUND} are shown.` : all;
}
