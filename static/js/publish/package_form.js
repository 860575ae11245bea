// One package in the form of a release: its fields, its archives on their way, what it needs, its programs.

import { element, setText, show } from "../dom.js";
import * as format from "../format.js";
import { Upload } from "./upload.js";

const ARCHIVES = /\.(7z|zip|tar\.gz|tgz)$/i;
const PROPERTIES = ["x64", "sse2", "avx", "avx2"];

// A row without anything in it is not sent.
const filledRows = (rows) => Array.from(rows.children).filter((row) => Array.from(row.querySelectorAll("[data-key]")).some((field) => field.value.trim()));
const splitWords = (text) => text.split(/[\s,]+/).filter(Boolean);

export class PackageForm {
  #templates;
  #onChange;
  #files = [];
  // What the form does not show is kept as it was.
  #kept;

  /** `data` is the package as it is stored, or {} for a new one; `onChange` is called after each change. */
  constructor(templates, data, onChange) {
    this.#templates = templates;
    this.#onChange = onChange;
    this.#kept = data.folder ? { folder: data.folder } : {};
    this.node = templates.package.content.firstElementChild.cloneNode(true);
    for (const field of this.node.querySelectorAll("[data-field]")) {
      const value = data[field.dataset.field];
      if (field.type === "checkbox") field.checked = value === true;
      else if (value !== undefined && value !== null) field.value = value;
    }
    this.#showTitle();
    for (const dependency of data.dependencies ?? []) this.#addRow("dependencies", { ...dependency, packages: dependency.packages.join(", ") });
    for (const program of data.executables ?? []) this.#addRow("executables", { ...program, properties: PROPERTIES.filter((name) => program.properties[name]).join(", ") });
    for (const file of data.files ?? []) this.#addStored(file);
    for (const file of data.awaited ?? []) this.#addAwaited(file);
    this.node.addEventListener("input", () => {
      this.#showTitle();
      this.#onChange();
    });
    this.node.addEventListener("click", (event) => this.#click(event));
    this.#takeFiles(this.node.querySelector("[data-drop]"), this.node.querySelector("[data-choose]"));
  }

  /** Whether a file of it is still on its way. */
  get isBusy() {
    return this.#files.some((file) => file.upload !== null);
  }

  /** Whether nothing would be lost with it. */
  get isEmpty() {
    return this.#files.length === 0;
  }

  /** Whether a file of it has not arrived, and is not on its way: it failed, or the page was left. */
  get isShort() {
    return this.#files.some((file) => file.upload === null && !file.sha256);
  }

  /** What a draft keeps: the package, and which files were still to come. */
  get draft() {
    const awaited = this.#files.filter((file) => !file.sha256).map(({ name, size, dest }) => ({ name, size, dest }));
    return { ...this.data, awaited };
  }

  /** Number the fields as `data` has them, so that problems find them. */
  number(index) {
    const path = `packages.${index}`;
    this.node.dataset.path = path;
    for (const field of this.node.querySelectorAll("[data-field]")) field.dataset.path = `${path}.${field.dataset.field}`;
    for (const rows of this.node.querySelectorAll("[data-rows]")) {
      for (const node of rows.querySelectorAll("[data-path]")) delete node.dataset.path;
      for (const row of rows.children) delete row.dataset.path;
      filledRows(rows).forEach((row, at) => {
        row.dataset.path = `${path}.${rows.dataset.rows}.${at}`;
        for (const field of row.querySelectorAll("[data-key]")) field.dataset.path = `${row.dataset.path}.${field.dataset.key}`;
      });
    }
    this.#files.filter((file) => file.sha256).forEach((file, at) => {
      file.node.dataset.path = `${path}.files.${at}`;
    });
  }

  /** The package as it is sent. */
  get data() {
    const values = { ...this.#kept };
    for (const field of this.node.querySelectorAll("[data-field]")) {
      values[field.dataset.field] = field.type === "checkbox" ? field.checked : field.value.trim();
    }
    values.dependencies = this.#rows("dependencies").map((row) => ({
      id: row.id,
      version: row.version || null,
      packages: row.packages.split(",").map((name) => name.trim()).filter(Boolean),
    }));
    values.executables = this.#rows("executables").map((row) => ({
      file: row.file,
      label: row.label || null,
      properties: Object.fromEntries(PROPERTIES.map((name) => [name, splitWords(row.properties).includes(name)])),
    }));
    values.files = this.#files.filter((file) => file.sha256).map((file) => ({
      filename: file.name,
      dest: file.dest,
      checksum: ["sha256", file.sha256],
      filesize: file.size,
      is_archive: file.isArchive,
    }));
    return values;
  }

  /** End what is on its way. */
  close() {
    for (const file of this.#files) file.upload?.stop();
    this.node.remove();
  }

  #showTitle() {
    setText(this.node.querySelector("[data-package-title]"), this.node.querySelector("[data-field=name]").value.trim() || "Package");
  }

  #click(event) {
    const adding = event.target.closest("[data-add-row]");
    if (adding) {
      this.#addRow(adding.dataset.addRow, {}).querySelector("input").focus();
    } else if (event.target.closest("[data-remove-row]")) {
      const rows = event.target.closest("[data-rows]");
      event.target.closest("li").remove();
      this.node.querySelector(`[data-add-row=${rows.dataset.rows}]`).focus();
    } else return;
    this.#onChange();
  }

  #addRow(kind, values) {
    const row = this.#templates[kind].content.firstElementChild.cloneNode(true);
    for (const field of row.querySelectorAll("[data-key]")) field.value = values[field.dataset.key] ?? "";
    this.node.querySelector(`[data-rows=${kind}]`).append(row);
    return row;
  }

  #rows(kind) {
    return filledRows(this.node.querySelector(`[data-rows=${kind}]`)).map((row) =>
      Object.fromEntries(Array.from(row.querySelectorAll("[data-key]"), (field) => [field.dataset.key, field.value.trim()])),
    );
  }

  #takeFiles(zone, chooser) {
    chooser.addEventListener("change", () => {
      for (const file of chooser.files) this.#send(file);
      chooser.value = "";
    });
    for (const kind of ["dragenter", "dragover"]) {
      zone.addEventListener(kind, (event) => {
        event.preventDefault();
        zone.dataset.over = "";
      });
    }
    for (const kind of ["dragleave", "drop"]) zone.addEventListener(kind, () => delete zone.dataset.over);
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      for (const file of event.dataTransfer.files) this.#send(file);
    });
  }

  /** Take files that were dropped on it. */
  take(files) {
    if (!this.#takesFiles) return;
    for (const file of files) this.#send(file);
  }

  get #takesFiles() {
    return !this.node.querySelector("[data-drop]").hidden;
  }

  // Only the browser's user can open a file again. What has arrived of it is on the server.
  #addAwaited({ name, size, dest }) {
    const file = { name, size, sha256: "", dest, isArchive: ARCHIVES.test(name), upload: null };
    this.#show(file);
    show(file.bar, false);
    file.node.dataset.state = "awaited";
    setText(file.said, "It had not arrived when this page was left. Choose it again, and it goes on where it was.");
    const again = element("button", { class: "btn btn-sm btn-outline-secondary", type: "button" }, "Choose it again");
    again.addEventListener("click", () => this.node.querySelector("[data-choose]").click());
    file.more.replaceChildren(again);
  }

  #addStored(stored) {
    const file = { name: stored.filename, size: stored.filesize, sha256: stored.checksum[1], dest: stored.dest, isArchive: stored.is_archive, upload: null };
    this.#show(file);
    this.#settle(file);
  }

  async #send(source) {
    const former = this.#files.find((one) => one.name === source.name && one.upload === null && !one.sha256);
    const file = { name: source.name, size: source.size, sha256: "", dest: former?.dest ?? "", isArchive: ARCHIVES.test(source.name), upload: null };
    this.#show(file);
    if (former) this.#drop(former);
    file.upload = new Upload(source, (state) => this.#progress(file, state));
    this.#onChange();
    try {
      file.sha256 = await file.upload.run();
      file.upload = null;
      this.#settle(file);
      this.#announce(`${file.name} is stored.`);
    } catch (error) {
      file.upload = null;
      if (error.message !== "stopped") this.#fail(file, source, error.message);
    }
    this.#onChange();
  }

  #show(file) {
    const remove = element("button", { class: "btn btn-sm btn-danger-quiet", type: "button", "aria-label": `Remove ${file.name}` }, "Remove");
    remove.addEventListener("click", () => {
      file.upload?.stop();
      this.#drop(file);
      this.node.querySelector("[data-choose]").focus();
      this.#onChange();
    });
    // Not a live region: it changes many times a second. What came of it is announced once.
    file.said = element("span", { class: "hint", "data-said": true });
    file.bar = element("progress", { max: Math.max(1, file.size), value: 0, "aria-label": `Upload of ${file.name}` });
    file.more = element("div", { class: "upload-more" });
    file.node = element("li", {}, element("div", { class: "upload-head" }, element("strong", {}, file.name), element("span", { class: "hint" }, format.bytes(file.size)), this.#takesFiles && remove), file.bar, file.said, file.more);
    this.node.querySelector("[data-files]").append(file.node);
    this.#files.push(file);
  }

  #drop(file) {
    this.#files.splice(this.#files.indexOf(file), 1);
    file.node.remove();
  }

  #announce(text) {
    setText(this.node.querySelector("[data-announce]"), text);
  }

  #progress(file, { phase, done }) {
    file.bar.value = done;
    file.began ??= {};
    file.began[phase] ??= { at: performance.now(), done };
    const { at, done: before } = file.began[phase];
    const seconds = (performance.now() - at) / 1000;
    const rate = seconds > 1 ? (done - before) / seconds : null;
    const left = rate ? (file.size - done) / rate : null;
    const words = { hashing: "Reading the file", sending: "Uploading", checking: "The server checks what has arrived" }[phase];
    const speed = rate && phase === "sending" ? ` at ${format.speed(rate)}, ${format.duration(left)} left` : "";
    setText(file.said, phase === "checking" ? `${words}.` : `${words}: ${format.percent(done / Math.max(1, file.size))}${speed}`);
  }

  #settle(file) {
    show(file.bar, false);
    setText(file.said, "Stored");
    file.node.dataset.state = "stored";
    const dest = element("input", { class: "form-control form-control-sm", value: file.dest, autocomplete: "off", spellcheck: "false", placeholder: "the mod's folder" });
    dest.addEventListener("input", () => {
      file.dest = dest.value.trim();
    });
    const way = element("select", { class: "form-select form-select-sm", "aria-label": `What is done with ${file.name}` });
    way.append(new Option("is unpacked to", "archive"), new Option("is put as it is into", "plain"));
    way.value = file.isArchive ? "archive" : "plain";
    way.addEventListener("change", () => {
      file.isArchive = way.value === "archive";
    });
    dest.setAttribute("aria-label", `Folder for ${file.name}`);
    file.more.replaceChildren(
      element("div", { class: "upload-place" }, way, dest),
      element("code", { class: "upload-sum", title: "SHA-256" }, file.sha256),
    );
  }

  #fail(file, source, message) {
    show(file.bar, false);
    file.node.dataset.state = "failed";
    setText(file.said, message);
    this.#announce(`${file.name}: ${message}`);
    const again = element("button", { class: "btn btn-sm btn-outline-secondary", type: "button" }, "Try again");
    again.addEventListener("click", () => this.#send(source));
    file.more.replaceChildren(again);
  }
}
