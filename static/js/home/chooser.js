// The dialogue in which one chooses a folder of one's home.

import { element, setText, show } from "../dom.js";
import * as api from "./api.js";

/** Folders that are listed; who has more finds them by going on from one that is. */
const MOST = 1000;
const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

export class Chooser {
  constructor(dialog) {
    this.dialog = dialog;
    this.find = (name) => dialog.querySelector(`[data-chooser-${name}]`);
    this.find("here").addEventListener("click", () => this.close(this.path));
    // The event comes some time after the closing, when one may be asking for another folder already.
    dialog.addEventListener("close", () => {
      if (!dialog.open) this.finish(null);
    });
    this.settle = () => undefined;
  }

  /** Ask for a folder; its names from the home down, or null where nobody wants one. */
  choose(title, verb, start) {
    setText(this.find("title"), title);
    setText(this.find("here"), verb);
    this.open(start);
    this.dialog.showModal();
    return new Promise((resolve) => {
      this.settle = resolve;
    });
  }

  close(path) {
    this.finish(path);
    this.dialog.close();
  }

  finish(path) {
    this.settle(path);
    this.settle = () => undefined;
  }

  async open(path) {
    this.path = path;
    this.showTrail();
    this.find("list").replaceChildren();
    this.say("Loading");
    try {
      const entries = await api.list(path.map(api.encodeName).join("/"));
      if (this.path !== path) return;
      // What has a size is none; what is no UTF-8 cannot be named here.
      const folders = entries.filter((entry) => entry.size === undefined && entry.address === undefined).map((entry) => entry.name);
      folders.sort(byName.compare);
      this.find("list").replaceChildren(...folders.slice(0, MOST).map((name) => this.row(name)));
      this.say(folders.length > MOST ? `The first ${MOST} of ${folders.length} folders` : folders.length ? "" : "No folders in this one");
    } catch (refusal) {
      if (this.path === path) this.say(refusal.message);
    }
  }

  say(text) {
    setText(this.find("note"), text);
    show(this.find("note"), text !== "");
  }

  row(name) {
    const icon = element("span", { class: "home-icon", "data-kind": "folder", "aria-hidden": true });
    return element("li", {}, element("button", { type: "button", onclick: () => this.enter([...this.path, name]) }, icon, name));
  }

  showTrail() {
    const steps = ["Home", ...this.path].map((name, depth) => {
      if (depth === this.path.length) return element("li", {}, element("span", { "aria-current": "true" }, name));
      return element("li", {}, element("button", { type: "button", onclick: () => this.enter(this.path.slice(0, depth)) }, name));
    });
    this.find("trail").replaceChildren(...steps);
  }

  // What had the focus is gone then.
  enter(path) {
    this.open(path);
    this.find("here").focus();
  }
}
