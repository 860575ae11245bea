// Files on their way into a folder: a few at once, each with its progress, its way to be cancelled, and its question
// where it would replace a file. The server keeps nothing of a file that does not come whole.

import { element, setText, show } from "../dom.js";
import * as format from "../format.js";
import * as api from "./api.js";

const AT_ONCE = 2;
/** Rows of files that have come which stay; of thousands nobody looks at all. */
const MOST_DONE_ROWS = 50;
/** Milliseconds over which a speed is measured. */
const SPEED_MS = 3000;

export class Uploads {
  /** @param folder the folder's path as addresses have it, "" or with a slash at its end; `onChange` when files came */
  constructor(root, folder, onChange) {
    this.root = root;
    this.folder = folder;
    this.onChange = onChange;
    this.find = (name) => root.querySelector(`[data-${name}]`);
    this.all = [];
    this.queue = [];
    this.active = 0;
    this.made = new Map();
    this.doneRows = [];
    this.answerForAll = null;
    this.find("cancel-all").addEventListener("click", () => this.cancelAll());
    this.find("replace-all").addEventListener("click", () => this.answerAll(true));
    this.find("skip-all").addEventListener("click", () => this.answerAll(false));
    this.find("retry-all").addEventListener("click", () => this.retryAll());
    this.find("close-uploads").addEventListener("click", () => this.clear());
    window.addEventListener("beforeunload", (event) => {
      if (this.isBusy()) event.preventDefault();
    });
  }

  isBusy() {
    return this.active > 0 || this.queue.length > 0;
  }

  /** Whether there are files that were to come and have not, so that a new page would lose them. */
  isUnfinished() {
    return this.isBusy() || this.all.some((upload) => upload.state === "asks" || upload.state === "failed");
  }

  /** Take a list as `dropped.js` makes them. */
  add(list) {
    if (list.length === 0) return;
    if (!this.isBusy() && !this.all.some((upload) => upload.state === "asks")) {
      this.clear();
      this.answerForAll = null;
    }
    for (const { file, folders } of list) {
      const upload = new UploadRow(this, file ?? null, folders);
      this.all.push(upload);
      this.queue.push(upload);
    }
    show(this.root, true);
    this.update();
    for (let number = 0; number < AT_ONCE; number += 1) this.work();
  }

  async work() {
    if (this.active >= AT_ONCE) return;
    this.active += 1;
    for (let upload = this.queue.shift(); upload; upload = this.queue.shift()) {
      await upload.run();
      this.update();
      if (upload.state === "done") this.onChange(false);
    }
    this.active -= 1;
    this.update();
    if (!this.isBusy()) this.onChange(true);
  }

  again(upload) {
    this.queue.push(upload);
    this.work();
    this.update();
  }

  /** Make a folder, and those that it is in, where they are not there yet. */
  ensure(folders) {
    const key = folders.join("/");
    if (folders.length === 0) return Promise.resolve();
    if (!this.made.has(key)) this.made.set(key, this.make(folders));
    return this.made.get(key);
  }

  async make(folders) {
    const above = folders.slice(0, -1);
    await this.ensure(above);
    try {
      await api.makeFolder(this.folder + above.map(api.encodeName).join("/"), folders.at(-1));
    } catch (refusal) {
      // It is there already; a file in its place is found out by what goes into it.
      if (refusal.status === 409) return;
      this.made.delete(folders.join("/"));
      throw refusal;
    }
  }

  answerAll(replaces) {
    this.answerForAll = replaces;
    for (const upload of this.all.filter((one) => one.state === "asks")) upload.answer(replaces);
  }

  retryAll() {
    for (const upload of this.all.filter((one) => one.state === "failed")) upload.retry();
  }

  cancelAll() {
    this.queue.length = 0;
    for (const upload of this.all) upload.cancel();
    this.update();
  }

  clear() {
    this.all = [];
    this.doneRows = [];
    this.made.clear();
    this.find("upload-rows").replaceChildren();
    show(this.root, false);
  }

  /** A row is there as soon as there is something to see in it. */
  showRow(upload) {
    if (!upload.node.isConnected) this.find("upload-rows").append(upload.node);
  }

  forgetDone(upload) {
    this.doneRows.push(upload);
    while (this.doneRows.length > MOST_DONE_ROWS) this.doneRows.shift().node.remove();
  }

  update() {
    const files = this.all.filter((upload) => upload.file);
    const inState = (...states) => files.filter((upload) => states.includes(upload.state));
    const asked = inState("asks").length;
    const [sum, sent] = [files, files].map((list, which) => list.reduce((total, upload) => total + (which ? upload.sent : upload.file.size), 0));
    const failed = inState("failed").length;
    const busy = this.isBusy();
    const done = inState("done").length;
    const amount = busy ? `, ${format.bytes(sent)} of ${format.bytes(sum)}` : "";
    const wrong = failed ? `, ${failed} failed` : "";
    const asks = asked ? `, ${format.count(asked, "question")}` : "";
    setText(this.find("uploads-title"), `${done} of ${format.count(files.length, "file")} uploaded${amount}${wrong}${asks}`);
    show(this.find("cancel-all"), busy);
    show(this.find("replace-all"), asked > 1);
    show(this.find("skip-all"), asked > 1);
    show(this.find("retry-all"), !busy && failed > 1);
    show(this.find("close-uploads"), !busy && asked === 0);
  }
}

/** One file, or a folder to be made. `state`: waiting, sending, asks, done, skipped, failed, cancelled. */
class UploadRow {
  constructor(uploads, file, folders) {
    this.uploads = uploads;
    this.file = file;
    this.folders = folders;
    this.name = [...folders, ...(file ? [file.name] : [])].join("/");
    this.state = "waiting";
    this.sent = 0;
    this.replaces = false;
    this.request = null;
    this.fill = element("span", { class: "bar-fill" });
    this.bar = element("span", { class: "bar", role: "progressbar", "aria-label": `Upload of ${this.name}`, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": 0 }, this.fill);
    this.said = element("span", { class: "home-upload-said" });
    this.tools = element("span", { class: "home-upload-tools" });
    this.node = element("li", { class: "home-upload", "data-state": "waiting" }, element("span", { class: "home-upload-name", title: this.name }, this.name), this.bar, this.said, this.tools);
  }

  get path() {
    return this.uploads.folder + [...this.folders, this.file.name].map(api.encodeName).join("/");
  }

  async run() {
    if (this.state === "cancelled") return;
    try {
      if (!this.file) {
        await this.uploads.ensure(this.folders);
        this.state = "done";
        return;
      }
      this.show("sending", "Waiting", [["Cancel", () => this.cancel()]]);
      await this.checkRoom();
      await this.uploads.ensure(this.folders);
      if (!this.replaces && (await api.exists(this.path))) throw taken();
      if (this.state === "cancelled") return;
      await this.send();
      this.sent = this.file.size;
      this.progress();
      this.show("done", format.bytes(this.file.size));
      this.uploads.forgetDone(this);
    } catch (refusal) {
      if (this.state !== "cancelled") this.refused(refusal);
    }
  }

  // A browser that is told so while it still sends would only say that the connection broke.
  async checkRoom() {
    const room = await api.room();
    if (room && this.file.size > room.quota - room.used) {
      const left = Math.max(0, room.quota - room.used);
      throw new api.Refusal(`It does not fit: it has ${format.bytes(this.file.size)}, and ${format.bytes(left)} of your home are free.`, 413);
    }
  }

  refused(refusal) {
    this.sent = 0;
    if (refusal.status === 412) {
      if (this.uploads.answerForAll === null) {
        this.show("asks", "There is a file of this name already.", [["Replace", () => this.answer(true)], ["Skip", () => this.answer(false)]]);
      } else this.answer(this.uploads.answerForAll);
      return;
    }
    this.show("failed", refusal.message, [["Try again", () => this.retry()]]);
  }

  answer(replaces) {
    if (!replaces) {
      this.show("skipped", "Skipped");
      this.uploads.update();
      return;
    }
    this.replaces = true;
    this.retry();
  }

  retry() {
    this.show("waiting", "Waiting", [["Cancel", () => this.cancel()]]);
    this.uploads.again(this);
  }

  cancel() {
    if (!["waiting", "sending"].includes(this.state)) return;
    this.sent = 0;
    this.show("cancelled", "Cancelled");
    this.request?.abort();
    this.uploads.update();
  }

  // XMLHttpRequest, since fetch does not tell how much of a body has left.
  send() {
    const request = new XMLHttpRequest();
    this.request = request;
    this.marks = [[performance.now(), 0]];
    return new Promise((resolve, reject) => {
      request.upload.addEventListener("progress", (event) => {
        this.sent = Math.min(event.loaded, this.file.size);
        this.progress();
      });
      request.addEventListener("loadend", () => {
        this.request = null;
        if (request.status === 200) resolve();
        else if (request.status === 412) reject(taken());
        else if (request.status === 0) reject(new api.Refusal("The connection broke, or the file cannot be read any more. Nothing of it was kept."));
        else reject(api.refusalOf(request.status, request.responseText));
      });
      request.open("PUT", api.addressOf(this.path));
      if (!this.replaces) request.setRequestHeader("If-None-Match", "*");
      request.send(this.file);
    });
  }

  progress() {
    const fraction = this.file.size ? this.sent / this.file.size : 1;
    this.fill.style.width = `${fraction * 100}%`;
    this.bar.setAttribute("aria-valuenow", String(Math.floor(fraction * 100)));
    const now = performance.now();
    this.marks.push([now, this.sent]);
    while (this.marks.length > 2 && now - this.marks[0][0] > SPEED_MS) this.marks.shift();
    const [since, before] = this.marks[0];
    const speed = now > since ? format.speed(((this.sent - before) / (now - since)) * 1000) : "";
    if (this.state === "sending") setText(this.said, fraction < 1 ? `${format.percent(fraction)}, ${speed}` : "Storing");
    this.uploads.update();
  }

  show(state, text, tools = []) {
    this.state = state;
    this.node.dataset.state = state;
    setText(this.said, text);
    if (state === "failed" || state === "asks" || state === "waiting") this.fill.style.width = "0";
    const buttons = tools.map(([name, act]) => element("button", { class: "btn btn-sm btn-outline-secondary", type: "button", "aria-label": `${name}: ${this.name}`, onclick: act }, name));
    this.tools.replaceChildren(...buttons);
    this.uploads.showRow(this);
  }
}

function taken() {
  return new api.Refusal("There is a file of this name already.", 412);
}
