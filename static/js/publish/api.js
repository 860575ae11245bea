// The API of the mod managers, as the owner's pages use it: the session's cookie says who asks.

const BASE = "/api/1";

/** What the server refused, or why it could not be asked. `errors` are the problems with their paths. */
export class Refusal extends Error {
  constructor(message, answer = {}) {
    super(message);
    this.reason = answer.reason ?? "";
    this.answer = answer;
    this.errors = answer.errors ?? [];
    this.isLoggedOut = false;
  }
}

/** Send a form (an object of texts and files); the answer. Throws a Refusal where it is not granted. */
export function sendForm(path, fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return send(path, { method: "POST", body: form });
}

/** Send a JSON object; the answer. Throws a Refusal where it is not granted. */
export function sendJson(path, data) {
  return send(path, { method: "POST", body: JSON.stringify(data), headers: { "Content-Type": "application/json" } });
}

async function send(path, options) {
  let response;
  try {
    response = await fetch(`${BASE}/${path}`, options);
  } catch {
    throw new Refusal("The server could not be reached. Check your connection and try again.");
  }
  let answer = {};
  try {
    answer = await response.json();
  } catch {
    throw new Refusal(`The server answered ${response.status} and nothing that makes sense. Try again in a moment.`);
  }
  if (answer.result !== true) throw refusalOf(response.status, answer);
  return answer;
}

/** Ask again while the server is still checking: the same request joins the check that is under way. */
export async function untilChecked(attempt) {
  for (;;) {
    try {
      return await attempt();
    } catch (refusal) {
      if (refusal.reason !== "still checking") throw refusal;
    }
  }
}

/** The Refusal that an answer stands for. */
export function refusalOf(status, answer) {
  // What somebody may not do is refused with 200; these two only come where nobody is logged in.
  const isLoggedOut = status === 401 || status === 403;
  const refusal = new Refusal(
    isLoggedOut ? "You are not logged in any more. Log in again in another tab, then go on here." : answer.message || answer.reason || "It was refused.",
    answer,
  );
  refusal.isLoggedOut = isLoggedOut;
  return refusal;
}
