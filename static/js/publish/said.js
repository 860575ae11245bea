// What has worked is said on the page that comes next.

import { setText, show } from "../dom.js";

const STORE = "knossos.said";

/** Have the next page of the owner's say this. */
export function sayNext(text) {
  try {
    sessionStorage.setItem(STORE, text);
  } catch {
    // Where nothing can be kept, the page itself shows what has changed.
  }
}

/** Say in `node`, which is hidden until then, what the page before has left to be said. */
export function showSaid(node) {
  let text = null;
  try {
    text = sessionStorage.getItem(STORE);
    sessionStorage.removeItem(STORE);
  } catch {
    return;
  }
  if (!text) return;
  show(node, true);
  setText(node, text);
}
