import type { Random } from '../world/random.ts';

/** Milliseconds: the first wait, and the longest. */
export interface BackOffLimits {
  readonly first: number;
  readonly longest: number;
}

/**
 * How long to wait before the next try: twice as long as before, less a random part of up to a half, so that a thousand
 * nodes do not all come back in the same moment.
 */
export class BackOff {
  readonly #limits: BackOffLimits;
  readonly #random: Random;
  #next: number;

  constructor(limits: BackOffLimits, random: Random) {
    this.#limits = limits;
    this.#random = random;
    this.#next = limits.first;
  }

  /** Milliseconds. */
  next(): number {
    const whole = this.#next;
    this.#next = Math.min(2 * whole, this.#limits.longest);
    const [byte = 0] = this.#random(1);
    return whole * (1 - byte / 512);
  }

  /** After a success. */
  reset(): void {
    this.#next = this.#limits.first;
  }
}
