// A field of pictures in the form of a release: each is stored as it is chosen, and shown.

import { element } from "../dom.js";
import { uploadImage } from "./upload.js";

const EXTENSIONS = { "image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp" };

const sha256Of = (name) => name.split(".")[0];

export class Pictures {
  #list;
  #several;
  #onChange;
  // Names of the form <sha256>.<extension>, as the server serves them.
  #kept = [];

  /** `node` holds the field and the list; `names` are the pictures it begins with. */
  constructor(node, names, onChange) {
    this.#list = node.querySelector("[data-pictures]");
    const field = node.querySelector("input");
    this.#several = field.multiple;
    this.#onChange = onChange;
    for (const name of names) this.#add(name);
    const take = async () => {
      const chosen = Array.from(field.files);
      field.value = "";
      for (const file of chosen) await this.#store(file);
    };
    field.addEventListener("change", take);
    // Somebody may have been quicker than this script.
    if (field.files.length) take();
  }

  /** What is sent: their SHA-256. */
  get value() {
    const found = this.#kept.map(sha256Of);
    return this.#several ? found : (found[0] ?? null);
  }

  /** What a draft keeps: their names. */
  get names() {
    return this.#several ? [...this.#kept] : (this.#kept[0] ?? null);
  }

  async #store(file) {
    const note = element("li", { class: "hint", role: "status" }, `${file.name}: uploading`);
    this.#list.append(note);
    try {
      const sha256 = await uploadImage(file);
      note.remove();
      if (!this.#several) this.#clear();
      if (!this.value?.includes(sha256)) this.#add(`${sha256}.${EXTENSIONS[file.type] ?? "png"}`);
      this.#onChange();
    } catch (error) {
      note.textContent = `${file.name}: ${error.message}`;
      note.dataset.state = "failed";
      note.setAttribute("role", "alert");
    }
  }

  #clear() {
    this.#kept = [];
    this.#list.replaceChildren();
  }

  #add(name) {
    this.#kept.push(name);
    const remove = element("button", { class: "btn btn-sm btn-danger-quiet", type: "button", "aria-label": "Remove this picture" }, "Remove");
    const item = element("li", {}, element("img", { src: `/storage/images/${name}`, alt: "", loading: "lazy" }), remove);
    remove.addEventListener("click", () => {
      this.#kept.splice(this.#kept.indexOf(name), 1);
      item.remove();
      this.#onChange();
    });
    this.#list.append(item);
  }
}
