import { randomFillSync } from 'node:crypto';

/** Randomness, passed in: a seed replays any failure. */
export type Random = (bytes: number) => Uint8Array;

/** The machine's own randomness. */
export const systemRandom: Random = (bytes) => randomFillSync(new Uint8Array(bytes));
