// Forms for scripts, for pages of the operator's own: make_form(config) makes one from its description.
//
//   import { make_form } from "/static/latest/form_elements.js";
//   document.body.append(make_form({ script: "handle_csv.py", fields: [{ type: "text", name: "title", required: true }] }));
//
// A page that is no module has it as window.form_elements.make_form. What is filled in is checked by the rules of the
// server (knossos/scripting/forms.py) and sent to POST /scripting as form.json with its files; what the script writes is
// shown below the form. The page links css/knossos.css and css/scripts.css and Bootstrap's, or has its own styles.

import { element, setText } from "./js/dom.js";
import { enhance } from "./js/forms/behaviour.js";
import { fieldView } from "./js/forms/build.js";
import { normalise } from "./js/forms/check.js";
import { ResultView, run } from "./js/forms/send.js";

/**
 * @param {{script: string, fields: object[], submit?: string}} config as a script's metadata has it
 * @returns {HTMLFormElement} it tells "script-started" and "script-ended", both with the config as the detail
 */
export function make_form(config) {
  const button = element("button", { class: "btn btn-primary", type: "submit" }, config.submit ?? "Run");
  const form = element(
    "form",
    { class: "script-form", "data-form": true },
    // Enter means this button and not the first that adds or removes a row.
    element("button", { class: "visually-hidden", type: "submit", tabindex: "-1", "aria-hidden": "true" }, "Run"),
    config.fields.map((field) => fieldView(normalise(field), field.name)),
    element("div", { class: "actions mt-0" }, button),
  );
  const result = new ResultView(form);
  enhance(form, config, async (found, event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    setText(button, "Running…");
    form.dispatchEvent(new CustomEvent("script-started", { detail: config, bubbles: true }));
    await run(config.script, found, result);
    button.disabled = false;
    setText(button, config.submit ?? "Run");
    form.dispatchEvent(new CustomEvent("script-ended", { detail: config, bubbles: true }));
  });
  return form;
}

window.form_elements = Object.assign(window.form_elements ?? {}, { make_form });
