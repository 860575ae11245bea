// What came out: each package with its archives and a tree of the installed files.

import { element } from "./dom.js";
import { treeRows } from "./file_tree.js";
import * as format from "./format.js";

/** Build the view of the answer of /api/tasks/<ticket>/tree. */
export function resultView(tree) {
  return tree.mods.map((mod) =>
    element(
      "section",
      { class: "result-mod" },
      element("h3", { class: "result-title" }, mod.title, " ", element("span", { class: "result-version" }, mod.version)),
      mod.packages.map(packageView),
    ),
  );
}

function packageView(part) {
  const facts = [format.count(part.entry_count, "file"), part.total_bytes === null ? null : format.bytes(part.total_bytes)];
  return element(
    "div",
    { class: "result-package" },
    element(
      "div",
      { class: "result-package-head" },
      element("h4", {}, part.name),
      element("span", { class: "chip" }, part.status),
      element("span", { class: "result-facts" }, facts.filter(Boolean).join(", ")),
    ),
    element(
      "ul",
      { class: "archive-list" },
      part.files.map((file) =>
        element(
          "li",
          {},
          element("span", { class: "archive-name" }, file.filename),
          element("span", { class: "archive-size" }, format.bytes(file.filesize)),
          element("code", { class: "archive-hash", title: "SHA-256" }, file.sha256),
        ),
      ),
    ),
    element("ul", { class: "tree" }, treeRows(part.entries)),
    part.entries.length < part.entry_count
      ? element("p", { class: "hint" }, `The first ${format.count(part.entries.length, "file")} of ${part.entry_count} are shown; the JSON has them all.`)
      : null,
  );
}
