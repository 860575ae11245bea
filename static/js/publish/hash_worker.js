// A worker that hashes a file piece by piece, beside the page. It is sent a File; it posts {done} as it goes, in bytes,
// and at the end {sha256}, or {error} where the file cannot be read.

import { Sha256 } from "./sha256.js";

const PIECE_BYTES = 4 * 1024 * 1024;

self.addEventListener("message", async ({ data: file }) => {
  try {
    const hash = new Sha256();
    for (let done = 0; done < file.size; done += PIECE_BYTES) {
      hash.update(new Uint8Array(await file.slice(done, done + PIECE_BYTES).arrayBuffer()));
      self.postMessage({ done: Math.min(file.size, done + PIECE_BYTES) });
    }
    self.postMessage({ sha256: hash.hex() });
  } catch (error) {
    self.postMessage({ error: String(error.message ?? error) });
  }
});
