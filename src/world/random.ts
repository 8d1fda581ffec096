import { closeSync, openSync, readSync } from 'node:fs';

/** Randomness, passed in: a seed replays any failure. */
export type Random = (bytes: number) => Uint8Array;

/** Read ahead: a pod needs three handfuls. */
const pool = new Uint8Array(256);
let left = 0;

/** The machine's own randomness, 256 bytes at most; not by node:crypto, which takes longer to load than a pod to attach. */
export const systemRandom: Random = (bytes) => {
  if (left < bytes) fillPool();
  left -= bytes;
  return pool.slice(left, left + bytes);
};

function fillPool(): void {
  const fd = openSync('/dev/urandom', 'r');
  try {
    left = readSync(fd, pool); // whole, whatever else happens: random(4)
  } finally {
    closeSync(fd);
  }
}
