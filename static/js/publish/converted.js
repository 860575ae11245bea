// The panel on /watch/<ticket> with which a finished conversion is published in one step, by somebody who is logged in.

import { element, setText, show } from "../dom.js";
import * as format from "../format.js";
import { Refusal, sendForm, untilChecked } from "./api.js";

/** Show the panel, and publish (or only check) what the conversion `ticket` has made. */
export function offerPublishing(panel, ticket, token) {
  const report = panel.querySelector("[data-report]");
  const status = panel.querySelector("[data-status]");
  const actions = panel.querySelector("[data-publish-actions]");
  const buttons = actions?.querySelectorAll("button") ?? [];

  for (const button of buttons) button.addEventListener("click", () => send(button.dataset.send === "check"));
  show(panel, true);

  async function send(isCheck) {
    show(report, false);
    for (const button of buttons) button.disabled = true;
    setText(status, "The server reads the archives and checks them…");
    try {
      const fields = { ticket, token, ...(isCheck && { dry_run: "true" }) };
      const answer = await untilChecked(() => sendForm("mod/release/converted", fields));
      if (isCheck) checked(answer);
      else published(answer);
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      refused(refusal, isCheck);
    } finally {
      for (const button of buttons) button.disabled = false;
      setText(status, "");
    }
  }

  function checked({ warnings = [] }) {
    tell("good", "It can be published.", warnings.length ? "Look at these first:" : "Nothing is wrong with it.", warnings);
  }

  function published({ mods, warnings = [] }) {
    show(actions, false);
    tell("good", "It is published.", warnings.length ? "What you may want to know:" : "", warnings);
    report.append(element("ul", { class: "plain-list published-mods" }, ...mods.map(modView)));
  }

  function modView({ id, version, created }) {
    const address = (base) => `${base}/${encodeURIComponent(id)}`;
    return element(
      "li",
      {},
      element("a", { href: address(panel.dataset.modsUrl) }, `${id} ${version}`),
      created ? element("span", { class: "hint" }, " a new mod, and yours: ") : " ",
      element("a", { class: "hint", href: address(panel.dataset.ownUrl) }, "team, pictures and versions"),
    );
  }

  function refused(refusal, isCheck) {
    const count = refusal.errors.length;
    const nothing = isCheck ? "" : refusal.answer.mods?.length ? refusal.message : "Nothing was published.";
    const head = count ? `${count === 1 ? "One thing has" : `${format.count(count, "thing")} have`} to be mended.` : "It was refused.";
    tell("bad", head, count ? nothing : refusal.message, refusal.errors);
    if (refusal.isLoggedOut) report.append(element("a", { class: "btn btn-outline-secondary", href: panel.dataset.loginUrl }, "Log in"));
  }

  function tell(kind, head, text, problems) {
    report.dataset.kind = kind;
    report.replaceChildren(
      element("h3", { class: "mod-subtitle" }, head),
      element("p", { hidden: !text }, text),
      element("ol", { class: "report-list" }, ...problems.map(({ path, message }) => element("li", {}, path ? [element("code", {}, path), " "] : null, message))),
    );
    show(report, true);
    report.focus();
  }
}
