// A file on its way to the server, in parts, over a bad line: each part is tried again, and an upload that was broken off
// goes on where it was, also on another day and in another browser.

import { Refusal, refusalOf, sendForm } from "./api.js";

const PART_BYTES = 10_485_760;
const AT_ONCE = 3;
const TRIES = 8;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** Hashes of files that were hashed here before, by name, size and time. */
const KNOWN_STORE = "knossos.hashes";
const MOST_KNOWN = 50;

export class Upload {
  #file;
  #onChange;
  #partsDone = new Set();
  #underWay = new Map();
  #stopped = false;
  #requests = new Set();
  #worker = null;

  /** `onChange` is called with {phase, done} as it goes: phase "hashing", "sending", "checking"; done in bytes. */
  constructor(file, onChange) {
    this.#file = file;
    this.#onChange = onChange;
  }

  /** Bring the file to the server; its SHA-256. Throws a Refusal, or "stopped" where `stop` was called. */
  async run() {
    if (this.#file.size === 0) throw new Refusal(`${this.#file.name} is empty.`, { reason: "empty" });
    const sha256 = await this.#hash();
    const parts = Math.ceil(this.#file.size / PART_BYTES);
    const about = { id: sha256, size: this.#file.size, parts };
    const started = await this.#again(() => sendForm("multiupload/start", about));
    if (!started.done) {
      for (const part of started.finished_parts) this.#partsDone.add(part);
      this.#tell("sending");
      const missing = Array.from({ length: parts }, (_, part) => part).filter((part) => !this.#partsDone.has(part));
      await Promise.all(Array.from({ length: AT_ONCE }, () => this.#sendParts(sha256, missing)));
      this.#onChange({ phase: "checking", done: this.#file.size });
      await this.#again(() => sendForm("multiupload/finish", { id: sha256, checksum: sha256 })).catch((refusal) => {
        // Perhaps the file is another one by now, with its old name, size and time.
        forgetKnown(sha256);
        throw refusal;
      });
    }
    return sha256;
  }

  /** End it. What has arrived stays on the server for a while. */
  stop() {
    this.#stopped = true;
    this.#worker?.terminate();
    this.#worker?.dispatchEvent(new Event("stopped"));
    for (const request of this.#requests) request.abort();
  }

  async #sendParts(sha256, missing) {
    for (;;) {
      const part = missing.shift();
      if (part === undefined) return;
      await this.#again(() => this.#sendPart(sha256, part));
      this.#partsDone.add(part);
      this.#underWay.delete(part);
      this.#tell("sending");
    }
  }

  // XMLHttpRequest, since fetch does not tell how much of a body has left.
  #sendPart(sha256, part) {
    const form = new FormData();
    form.append("id", sha256);
    form.append("part", part);
    form.append("file", this.#file.slice(part * PART_BYTES, (part + 1) * PART_BYTES), "upload");
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      this.#requests.add(request);
      request.upload.addEventListener("progress", (event) => {
        this.#underWay.set(part, Math.min(event.loaded, this.#bytesOf(part)));
        this.#tell("sending");
      });
      request.addEventListener("loadend", () => {
        this.#requests.delete(request);
        if (request.status === 200 && request.responseText === "OK") resolve();
        else reject(refusalOfRequest(request));
      });
      request.open("POST", "/api/1/multiupload/part");
      request.send(form);
    });
  }

  // What was refused stays refused; what did not get through is tried again.
  async #again(attempt) {
    let pause = FIRST_PAUSE_MS;
    for (let tries = 1; ; tries += 1) {
      if (this.#stopped) throw new Error("stopped");
      try {
        return await attempt();
      } catch (error) {
        if (this.#stopped) throw new Error("stopped");
        if (!(error instanceof Refusal) || error.reason || tries >= TRIES) throw error;
      }
      await new Promise((resolve) => window.setTimeout(resolve, pause));
      pause = Math.min(LONGEST_PAUSE_MS, pause * 2);
    }
  }

  #hash() {
    const mark = `${this.#file.name}|${this.#file.size}|${this.#file.lastModified}`;
    const known = readKnown();
    if (known[mark]) return Promise.resolve(known[mark]);
    const worker = new Worker(new URL("./hash_worker.js", import.meta.url), { type: "module" });
    this.#worker = worker;
    return new Promise((resolve, reject) => {
      worker.addEventListener("stopped", () => reject(new Error("stopped")));
      worker.addEventListener("error", () => reject(new Refusal("The file could not be hashed in this browser.")));
      worker.addEventListener("message", ({ data }) => {
        if (data.done !== undefined) this.#onChange({ phase: "hashing", done: data.done });
        else if (data.error) reject(new Refusal(`${this.#file.name} cannot be read: ${data.error}`, { reason: "unreadable" }));
        else resolve(data.sha256);
      });
      worker.postMessage(this.#file);
    }).then((sha256) => {
      keepKnown(mark, sha256);
      return sha256;
    }).finally(() => worker.terminate());
  }

  #bytesOf(part) {
    return Math.min(PART_BYTES, this.#file.size - part * PART_BYTES);
  }

  #tell(phase) {
    let done = 0;
    for (const part of this.#partsDone) done += this.#bytesOf(part);
    for (const [part, sent] of this.#underWay) if (!this.#partsDone.has(part)) done += sent;
    this.#onChange({ phase, done });
  }
}

/** Store an image; its SHA-256. Throws a Refusal. */
export async function uploadImage(file) {
  const { Sha256 } = await import("./sha256.js");
  const checksum = new Sha256().update(new Uint8Array(await file.arrayBuffer())).hex();
  await sendForm("upload/file", { checksum, file });
  return checksum;
}

function refusalOfRequest(request) {
  try {
    return refusalOf(request.status, JSON.parse(request.responseText));
  } catch {
    return new Refusal("The connection broke while the file was sent. Choose it again to go on where it was.");
  }
}

function readKnown() {
  try {
    return JSON.parse(localStorage.getItem(KNOWN_STORE)) ?? {};
  } catch {
    return {};
  }
}

function forgetKnown(sha256) {
  writeKnown(Object.entries(readKnown()).filter(([, known]) => known !== sha256));
}

function keepKnown(mark, sha256) {
  writeKnown([...Object.entries(readKnown()).slice(1 - MOST_KNOWN), [mark, sha256]]);
}

function writeKnown(entries) {
  try {
    localStorage.setItem(KNOWN_STORE, JSON.stringify(Object.fromEntries(entries)));
  } catch {
    // A full or forbidden store only means hashing again.
  }
}
