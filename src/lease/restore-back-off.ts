import { BackOff } from '../http/back-off.ts';
import type { Clock } from '../world/clock.ts';
import type { Random } from '../world/random.ts';

/** Milliseconds. */
const first = 1_000;
/** After so many milliseconds in which nobody has overwritten it, the next one who does is another matter. */
const peace = 3_600_000;

/** How soon a lease that somebody has overwritten is written again. */
export class RestoreBackOff {
  readonly #clock: Clock;
  readonly #backOff: BackOff;
  /** Monotonic milliseconds: when it was overwritten last. */
  #overwritten = Number.NEGATIVE_INFINITY;

  /** @param longest in milliseconds: two nodes that both restore the same lease get slower until then */
  constructor({ clock, random }: { clock: Clock; random: Random }, longest: number) {
    this.#clock = clock;
    this.#backOff = new BackOff({ first, longest }, random);
  }

  /** It is overwritten now: the milliseconds to wait. */
  next(): number {
    const now = this.#clock.monotonic();
    if (now - this.#overwritten >= peace) this.#backOff.reset();
    this.#overwritten = now;
    return this.#backOff.next();
  }
}
