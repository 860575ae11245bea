// SHA-256 over pieces (FIPS 180-4): what browsers bring needs the whole file in memory, and HTTPS.

const ROUND_CONSTANTS = Int32Array.from(primes(64), (prime) => fractionBits(Math.cbrt(prime)));
const START = primes(8).map((prime) => fractionBits(Math.sqrt(prime)));
const BLOCK_BYTES = 64;

function primes(count) {
  const found = [];
  for (let candidate = 2; found.length < count; candidate += 1) {
    if (found.every((prime) => candidate % prime !== 0)) found.push(candidate);
  }
  return found;
}

// The first 32 bits after the point. A double has 52, and the numbers are below 8, so all of them are right.
function fractionBits(value) {
  return Math.floor((value - Math.floor(value)) * 2 ** 32) | 0;
}

export class Sha256 {
  #state = Int32Array.from(START);
  #words = new Int32Array(64);
  #waiting = new Uint8Array(BLOCK_BYTES);
  #waitingBytes = 0;
  #totalBytes = 0;

  /** Take the next bytes, a Uint8Array. */
  update(bytes) {
    this.#totalBytes += bytes.length;
    let from = 0;
    if (this.#waitingBytes > 0) {
      from = Math.min(BLOCK_BYTES - this.#waitingBytes, bytes.length);
      this.#waiting.set(bytes.subarray(0, from), this.#waitingBytes);
      this.#waitingBytes += from;
      if (this.#waitingBytes < BLOCK_BYTES) return this;
      this.#block(this.#waiting, 0);
      this.#waitingBytes = 0;
    }
    for (; from + BLOCK_BYTES <= bytes.length; from += BLOCK_BYTES) this.#block(bytes, from);
    this.#waiting.set(bytes.subarray(from));
    this.#waitingBytes = bytes.length - from;
    return this;
  }

  /** The hash of everything, in lower-case hex. Nothing may be added afterwards. */
  hex() {
    const padding = new Uint8Array(this.#waitingBytes < 56 ? 64 - this.#waitingBytes : 128 - this.#waitingBytes);
    padding[0] = 0x80;
    const length = new DataView(padding.buffer);
    length.setUint32(padding.length - 8, Math.floor(this.#totalBytes / 2 ** 29));
    length.setUint32(padding.length - 4, (this.#totalBytes * 8) % 2 ** 32);
    this.update(padding);
    return Array.from(this.#state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  #block(bytes, start) {
    const words = this.#words;
    for (let i = 0, at = start; i < 16; i += 1, at += 4) {
      words[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    }
    for (let i = 16; i < 64; i += 1) {
      const early = words[i - 15];
      const late = words[i - 2];
      const first = ((early >>> 7) | (early << 25)) ^ ((early >>> 18) | (early << 14)) ^ (early >>> 3);
      const second = ((late >>> 17) | (late << 15)) ^ ((late >>> 19) | (late << 13)) ^ (late >>> 10);
      words[i] = (words[i - 16] + first + words[i - 7] + second) | 0;
    }
    const state = this.#state;
    let a = state[0];
    let b = state[1];
    let c = state[2];
    let d = state[3];
    let e = state[4];
    let f = state[5];
    let g = state[6];
    let h = state[7];
    for (let i = 0; i < 64; i += 1) {
      const high = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const one = (h + high + ((e & f) ^ (~e & g)) + ROUND_CONSTANTS[i] + words[i]) | 0;
      const low = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const two = (low + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + one) | 0;
      d = c;
      c = b;
      b = a;
      a = (one + two) | 0;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
  }
}
