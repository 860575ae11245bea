// What came out: each package with its archives and a tree of the installed files. A folder's rows are made when
// it is first opened, so a tree of many thousand files costs nothing until it is looked at.

import { element } from "./dom.js";
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
  const root = folderOf(part.entries);
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
    element("ul", { class: "tree" }, rowsOf(root)),
    part.entries.length < part.entry_count
      ? element("p", { class: "hint" }, `The first ${format.count(part.entries.length, "file")} of ${part.entry_count} are shown; the JSON has them all.`)
      : null,
  );
}

function newFolder() {
  return { folders: new Map(), files: [], count: 0, bytes: 0 };
}

function folderOf(entries) {
  const root = newFolder();
  for (const [path, size] of entries) {
    const parts = path.split("/");
    const name = parts.pop();
    let folder = root;
    for (const part of parts) {
      if (!folder.folders.has(part)) folder.folders.set(part, newFolder());
      folder = folder.folders.get(part);
      folder.count += 1;
      folder.bytes += size ?? NaN;
    }
    folder.files.push([name, size]);
  }
  return root;
}

function rowsOf(folder) {
  const names = [...folder.folders.keys()].sort((a, b) => a.localeCompare(b));
  const files = [...folder.files].sort(([a], [b]) => a.localeCompare(b));
  return [
    ...names.map((name) => folderRow(name, folder.folders.get(name))),
    ...files.map(([name, size]) =>
      element("li", { class: "tree-file" }, element("span", { class: "tree-name" }, name), element("span", { class: "tree-size" }, format.bytes(size))),
    ),
  ];
}

function folderRow(name, folder) {
  const size = Number.isNaN(folder.bytes) ? "" : format.bytes(folder.bytes);
  const details = element(
    "details",
    {},
    element(
      "summary",
      {},
      element("span", { class: "tree-name" }, `${name}/`),
      element("span", { class: "tree-count" }, format.count(folder.count, "file")),
      element("span", { class: "tree-size" }, size),
    ),
  );
  details.addEventListener("toggle", () => details.append(element("ul", {}, rowsOf(folder))), { once: true });
  return element("li", {}, details);
}
