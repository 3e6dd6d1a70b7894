// SHA-256 (FIPS 180-4) of a file. The browser's own needs a secure context (HTTPS or the same computer), and a service in a
// hospital may have none.

import { hex } from "./text.js";

const PART = 2 ** 20; // bytes read at once; a multiple of a block
const BLOCK = 64;
const PRIMES = [];
for (let number = 2; PRIMES.length < 64; number += 1) if (PRIMES.every((prime) => number % prime)) PRIMES.push(number);
const fraction = (root) => Math.floor((root % 1) * 2 ** 32);
const START = PRIMES.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));
const CONSTANTS = Uint32Array.from(PRIMES, (prime) => fraction(Math.cbrt(prime)));

// Return the digest of a Blob in hexadecimal.
export async function sha256(blob) {
  const { subtle } = crypto;
  return subtle ? hex(new Uint8Array(await subtle.digest("SHA-256", await blob.arrayBuffer()))) : ownSha256(blob);
}

export async function ownSha256(blob) {
  const state = Uint32Array.from(START);
  const whole = blob.size - (blob.size % BLOCK);
  for (let at = 0; at < whole; at += PART) addBlocks(state, await blob.slice(at, Math.min(whole, at + PART)).arrayBuffer());
  const rest = new Uint8Array(await blob.slice(whole).arrayBuffer());
  const last = new Uint8Array(rest.length + 9 > BLOCK ? 2 * BLOCK : BLOCK);
  last.set(rest);
  last[rest.length] = 0x80;
  new DataView(last.buffer).setBigUint64(last.length - 8, BigInt(blob.size) * 8n);
  addBlocks(state, last.buffer);
  const digest = new DataView(new ArrayBuffer(32));
  state.forEach((word, index) => digest.setUint32(4 * index, word));
  return hex(new Uint8Array(digest.buffer));
}

const turn = (word, bits) => (word >>> bits) | (word << (32 - bits));

function addBlocks(state, buffer) {
  const view = new DataView(buffer);
  const words = new Uint32Array(64);
  for (let start = 0; start < view.byteLength; start += BLOCK) {
    for (let at = 0; at < 16; at += 1) words[at] = view.getUint32(start + 4 * at);
    for (let at = 16; at < 64; at += 1) {
      const [two, fifteen] = [words[at - 2], words[at - 15]];
      words[at] = words[at - 16] + words[at - 7]
        + (turn(fifteen, 7) ^ turn(fifteen, 18) ^ (fifteen >>> 3)) + (turn(two, 17) ^ turn(two, 19) ^ (two >>> 10));
    }
    addBlock(state, words);
  }
}

function addBlock(state, words) {
  let [a, b, c, d, e, f, g, h] = state;
  for (let at = 0; at < 64; at += 1) {
    const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + CONSTANTS[at] + words[at]) | 0;
    const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, index) => {
    state[index] += word;
  });
}
