// Renaming, moving, copying and removing, for one file's page and for what is chosen in a folder. An item is
// {path, name}: its path as addresses have it, and its name as it is shown.

import { element, setText, show } from "../dom.js";
import { count } from "../format.js";
import * as api from "./api.js";

export function folderOf(path) {
  return path.split("/").slice(0, -1);
}

/** Names as texts out of a path as addresses have it; null for one that is no UTF-8. */
export function namesOf(parts) {
  try {
    return parts.filter((part) => part !== "").map(decodeURIComponent);
  } catch {
    return null;
  }
}

export function called(items) {
  return items.length === 1 ? `“${items[0].name}”` : count(items.length, "entry", "entries");
}

/** Do something with each item; what went wrong, as texts. */
export async function each(items, act) {
  const problems = [];
  for (const item of items) {
    try {
      await act(item);
    } catch (refusal) {
      problems.push(items.length > 1 ? `${item.name}: ${refusal.message}` : refusal.message);
    }
  }
  return problems;
}

/** Ask where to, and move or copy items there; {to, problems}, or null where nobody wants that any more. */
export async function transfer(chooser, verb, items) {
  const start = namesOf(folderOf(items[0].path)) ?? [];
  const to = await chooser.choose(`${verb} ${called(items)} to`, `${verb} here`, start);
  if (to === null) return null;
  const problems = await each(items, (item) => (verb === "Copy" ? copyInto(item, to) : moveInto(item, to)));
  return { to, problems };
}

function isIn(item, folder) {
  return folderOf(item.path).join("/") === folder.map(api.encodeName).join("/") || namesOf(folderOf(item.path))?.join("/") === folder.join("/");
}

async function moveInto(item, folder) {
  if (isIn(item, folder)) throw new api.Refusal("It is in this folder already.");
  await api.move(item.path, `/${folder.join("/")}`);
}

async function copyInto(item, folder) {
  if (!isIn(item, folder)) {
    await api.copy(item.path, `/${folder.join("/")}`);
    return;
  }
  // A copy beside what is copied needs a name of its own.
  const place = [...folder, ""].map(api.encodeName).join("/");
  for (let number = 2; ; number += 1) {
    const name = numbered(item.name, number);
    if (!(await api.exists(place + api.encodeName(name)))) {
      await api.copy(item.path, `/${[...folder, name].join("/")}`);
      return;
    }
  }
}

function numbered(name, number) {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? `${name.slice(0, dot)} (${number})${name.slice(dot)}` : `${name} (${number})`;
}

/** Give an item another name in its folder. Throws a Refusal. */
export async function rename(item, name) {
  if (name === "" || name.includes("/") || name === "." || name === "..") throw new api.Refusal("Choose a name without a slash.");
  const folder = folderOf(item.path);
  const parts = namesOf(folder);
  if (parts === null) throw new api.Refusal("The folder that it is in has a name that is no text. Rename that one first.");
  if (await api.exists([...folder, api.encodeName(name)].join("/"))) {
    throw new api.Refusal(`There is something called “${name}” here already.`);
  }
  await api.move(item.path, `/${[...parts, name].join("/")}`);
  return [...folder, api.encodeName(name)].join("/");
}

/** Put a field for another name in the place of `node`; `done` gets the new path, or null where it stays as it is. */
export function renameInPlace(node, item, done) {
  const field = element("input", { class: "form-control form-control-sm", "aria-label": `New name of ${item.name}`, spellcheck: "false", autocapitalize: "off", autocomplete: "off" });
  field.value = item.name;
  const problem = element("p", { class: "form-error", role: "alert", hidden: true });
  const save = element("button", { class: "btn btn-sm btn-primary", type: "button" }, "Rename");
  const keep = element("button", { class: "btn btn-sm btn-outline-secondary", type: "button" }, "Keep");
  // No form: in a folder it stands in the form of the list.
  const box = element("span", { class: "home-rename", "data-renaming": true }, field, save, keep, problem);
  const finish = (path) => {
    box.remove();
    show(node, true);
    done(path);
  };
  const send = async () => {
    const name = field.value;
    if (name === item.name) {
      finish(null);
      return;
    }
    save.disabled = true;
    try {
      finish(await rename(item, name));
    } catch (refusal) {
      save.disabled = false;
      show(problem, true);
      setText(problem, refusal.message);
      field.focus();
    }
  };
  save.addEventListener("click", send);
  keep.addEventListener("click", () => finish(null));
  box.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter" && event.target === field) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape") finish(null);
  });
  show(node, false);
  node.after(box);
  field.focus();
  const dot = item.name.lastIndexOf(".");
  field.setSelectionRange(0, dot > 0 ? dot : item.name.length);
}
