// The page /publish/<mod>: versions, team, pictures and webhooks. Each change is asked of the server, and the page loaded
// anew when it was granted.

import { copyText, setText, show } from "../dom.js";
import { sendForm, sendJson } from "./api.js";
import { sayNext, showSaid } from "./said.js";
import { uploadImage } from "./upload.js";

const page = document.querySelector("[data-manage]");
const mod = page.dataset.mod;
const dialog = page.querySelector("[data-ask]");

const QUESTIONS = {
  yank: {
    title: "Yank",
    text: "Players are not offered it any more. Mods that depend on it can still install it.",
    yes: "Yank it",
    done: "is yanked.",
    reason: true,
  },
  unyank: { title: "Offer again", text: "Players are offered it again.", yes: "Offer it", done: "is offered again." },
  delete: {
    title: "Delete",
    text: "It disappears for everyone, for good, and its version can never be used again.",
    yes: "Delete it",
    done: "is deleted.",
    destroys: true,
  },
  remove: {
    title: "Remove the webhook of",
    text: "It is not told anything any more.",
    yes: "Remove it",
    done: "is not told anything any more.",
    destroys: true,
  },
};
showSaid(page.querySelector("[data-said]"));

function reload(text) {
  sayNext(text);
  window.location.reload();
}

/** Do what a form or button asks; what the server objects to is shown in `place`. */
async function attempt(place, button, work) {
  const error = place.querySelector("[data-error]");
  if (error) show(error, false);
  button.disabled = true;
  try {
    await work();
  } catch (refusal) {
    if (!error) throw refusal;
    setText(error, refusal.errors?.length ? refusal.errors.map((one) => one.message).join("\n") : refusal.message);
    show(error, true);
  } finally {
    button.disabled = false;
  }
}

/** Ask whether an action is meant, and do it. */
function ask(action, subject, work) {
  const question = QUESTIONS[action];
  setText(dialog.querySelector("[data-ask-title]"), `${question.title} ${subject}`.trim());
  setText(dialog.querySelector("[data-ask-text]"), question.text);
  const yes = dialog.querySelector("[data-ask-yes]");
  setText(yes, question.yes);
  yes.classList.toggle("btn-primary", !question.destroys);
  yes.classList.toggle("btn-danger-quiet", Boolean(question.destroys));
  yes.toggleAttribute("data-armed", Boolean(question.destroys));
  show(dialog.querySelector("[data-ask-field]"), Boolean(question.reason));
  const reason = dialog.querySelector("#ask-reason");
  reason.value = "";
  show(dialog.querySelector("[data-error]"), false);
  const form = dialog.querySelector("form");
  form.onsubmit = (event) => {
    if (event.submitter !== yes) return;
    event.preventDefault();
    attempt(dialog, yes, async () => {
      await work(reason.value.trim());
      reload(`${subject} ${question.done}`);
    });
  };
  dialog.showModal();
  // The Enter key must not destroy anything.
  if (question.destroys) dialog.querySelector("[data-ask-no]").focus();
}

page.querySelector("[data-releases]")?.addEventListener("click", (event) => {
  const action = event.target.closest("[data-act]")?.dataset.act;
  if (!action) return;
  const { version } = event.target.closest("[data-version]").dataset;
  ask(action, version, (reason) => sendForm(`mod/release/${action}`, { mid: mod, version, ...(action === "yank" && { reason }) }));
});

const team = page.querySelector("[data-team]");
if (team) {
  const rows = team.querySelector("[data-members]");
  team.querySelector("[data-add]").addEventListener("click", () => {
    const row = page.querySelector("[data-member-row]").content.cloneNode(true);
    rows.append(row);
    rows.lastElementChild.querySelector("input").focus();
  });
  rows.addEventListener("click", (event) => {
    if (!event.target.closest("[data-remove]")) return;
    event.target.closest("li").remove();
    team.querySelector("[data-add]").focus();
  });
  team.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(team, event.submitter, async () => {
      const members = Array.from(rows.children, (row) => ({
        user: row.querySelector("input").value.trim(),
        role: Number(row.querySelector("select").value),
      }));
      await sendJson("mod/team/update", { mid: mod, members });
      const stays = members.some(({ user }) => user.toLowerCase() === page.dataset.me.toLowerCase());
      if (stays) reload("The team is saved.");
      else window.location.assign(page.dataset.ownUrl);
    });
  });
}

const looks = page.querySelector("[data-looks]");
looks?.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(looks, event.submitter, async () => {
    const changes = { id: mod, title: looks.elements.title.value.trim() };
    for (const name of ["tile", "logo"]) {
      const [file] = looks.elements[name].files;
      if (file) changes[name] = await uploadImage(file);
    }
    await sendJson("mod/update", changes);
    reload("Title and pictures are saved.");
  });
});

const hooks = page.querySelector("[data-webhooks]");
hooks?.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (!button) return;
  const row = event.target.closest("[data-webhook]");
  const id = row.dataset.webhook;
  if (button.dataset.act === "remove") {
    ask("remove", row.querySelector("strong").textContent, () => sendForm("mod/webhooks/remove", { id }));
    return;
  }
  const told = page.querySelector("[data-told]");
  attempt(hooks, button, async () => {
    let text = "A test is on its way. Load the page again in a moment to see what came of it.";
    try {
      await sendForm("mod/webhooks/test", { id });
    } catch (refusal) {
      text = refusal.message;
    }
    setText(told, text);
    show(told, true);
  });
});

const newWebhook = page.querySelector("[data-new-webhook]");
newWebhook?.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(newWebhook, event.submitter, async () => {
    const data = new FormData(newWebhook);
    const answer = await sendJson("mod/webhooks/add", {
      mid: mod,
      url: data.get("url"),
      format: data.get("format"),
      events: data.getAll("events"),
    });
    setText(page.querySelector("[data-secret-text]"), answer.secret);
    newWebhook.reset();
    const secret = page.querySelector("[data-secret]");
    show(secret, true);
    secret.focus();
  });
});
page.querySelector("[data-secret-copy]")?.addEventListener("click", async ({ target }) => {
  const copied = await copyText(page.querySelector("[data-secret-text]").textContent);
  setText(target, copied ? "Copied" : "Not copied");
});
page.querySelector("[data-secret-seen]")?.addEventListener("click", () => reload("The webhook is added."));
