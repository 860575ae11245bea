// A list of paths as a tree of folders. A folder's rows are made when it is first opened, so a tree of many thousand
// files costs nothing until it is looked at.

import { element } from "./dom.js";
import * as format from "./format.js";

/** Rows for a list of [path, size in bytes or null]. */
export function treeRows(entries) {
  return rowsOf(folderOf(entries));
}

/** A row for one file. */
export function fileRow(name, size) {
  return element(
    "li",
    { class: "tree-file" },
    element("span", { class: "tree-name" }, name),
    element("span", { class: "tree-size" }, format.bytes(size)),
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
  return [...names.map((name) => folderRow(name, folder.folders.get(name))), ...files.map(([name, size]) => fileRow(name, size))];
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
