import type { Random } from '../../world/random.ts';

/** Milliseconds. */
export interface BackoffLimits {
  readonly first: number;
  readonly longest: number;
}

/**
 * How long to wait before the next try: twice as long as before, less a random part of up to a half, so that a thousand
 * nodes do not all come back in the same moment.
 */
export class Backoff {
  readonly #limits: BackoffLimits;
  readonly #random: Random;
  #next: number;

  constructor(limits: BackoffLimits, random: Random) {
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

  reset(): void {
    this.#next = this.#limits.first;
  }
}
