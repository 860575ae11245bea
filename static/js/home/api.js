// The files of one's home, over the API: the session's cookie says who asks. Paths are as addresses have them, without a
// slash at their beginning.

const FILES = "/api/files/";

/** What the server refused, or why it could not be asked; `status` is 0 where it could not be. */
export class Refusal extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

export function encodeName(name) {
  return encodeURIComponent(name);
}

/** The address of a path that is a text. */
export function addressOf(path) {
  return FILES + path;
}

/** Move something to a path, which is a text; where a folder is there, it goes into that. */
export function move(path, to) {
  return send("POST", path, { command: "move", to });
}

export function copy(path, to) {
  return send("POST", path, { command: "copy", to });
}

export function makeFolder(path, name) {
  return send("POST", path, { command: "mkdir", name });
}

export function remove(path) {
  return send("DELETE", path);
}

/** What is in a folder: objects with name, mtime, and size where it is none. */
export async function list(path) {
  return (await send("GET", path)).json();
}

/** Whether there is something at a path. */
export async function exists(path) {
  try {
    await send("HEAD", path);
    return true;
  } catch (refusal) {
    if (refusal.status === 404) return false;
    // Something that may not be looked into, such as a link, is there.
    if (refusal.status === 403) return true;
    throw refusal;
  }
}

/** {used, quota} of the home, in bytes; null where that is not known. */
export async function room() {
  try {
    const response = await fetch("/api/home");
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

async function send(method, path, data) {
  let response;
  try {
    const body = data === undefined ? {} : { body: JSON.stringify(data), headers: { "Content-Type": "application/json" } };
    response = await fetch(FILES + path, { method, ...body });
  } catch {
    throw new Refusal("The server could not be reached. Check your connection and try again.");
  }
  if (response.ok) return response;
  throw refusalOf(response.status, await response.text().catch(() => ""));
}

/** The Refusal that an answer stands for. */
export function refusalOf(status, text) {
  if (status === 0) return new Refusal("The connection broke.");
  if (status === 401) return new Refusal("You are not logged in any more. Log in again in another tab, then go on here.", status);
  let message = "";
  try {
    message = JSON.parse(text).message ?? "";
  } catch {
    // Not an answer of this server's.
  }
  return new Refusal(message || `The server answered ${status} and nothing that makes sense.`, status);
}
