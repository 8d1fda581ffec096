import { closeSync, openSync, readSync } from 'node:fs';

/** Randomness, passed in: a seed replays any failure. */
export type Random = (bytes: number) => Uint8Array;

/** The machine's own randomness, 256 bytes at most; not by node:crypto, which takes longer to load than a pod to attach. */
export const systemRandom: Random = (bytes) => {
  const random = new Uint8Array(bytes);
  const fd = openSync('/dev/urandom', 'r');
  try {
    readSync(fd, random); // whole, whatever else happens: random(4)
  } finally {
    closeSync(fd);
  }
  return random;
};
