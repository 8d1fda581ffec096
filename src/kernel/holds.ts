import type { ObjectKey } from './object.ts';
import { Repairs } from './repairs.ts';

/** Milliseconds: the first wait, doubled each time up to the longest. */
const first = 250;
const longest = 30_000;

const fight =
  'another program undoes it again and again, so it is repaired once a second from now on: ' +
  'find that program (network managers, other CNI daemons) with "ip monitor" and tell it to leave flannel\'s devices and routes alone';

export interface Fault {
  /** The operation, for people. */
  readonly what: string;
  readonly why: string;
  readonly surprising: boolean;
}

interface Hold {
  readonly what: string;
  readonly why: string;
  until: number;
  wait: number;
}

/** Objects that are not to be tried again before a certain time, and why. Times are {@link Clock.monotonic}'s. */
export class Holds {
  readonly #holds = new Map<ObjectKey, Hold>();
  readonly #repairs = new Map<ObjectKey, Repairs>();
  #sweepAt = 1000;

  keys(): ObjectKey[] {
    return [...this.#holds.keys()];
  }

  /**
   * Each one waits twice as long as the time before. After a surprise the first one does not wait: the kernel is read
   * anew before it is tried again. True when people should hear of it.
   */
  fail(key: ObjectKey, { what, why, surprising }: Fault, now: number): boolean {
    const before = this.#holds.get(key);
    const wait =
      before === undefined ? (surprising ? 0 : first) : Math.min(before.wait * 2 || first, longest);
    this.#holds.set(key, { what, why, wait, until: now + wait });
    return wait > 0 && (before?.why !== why || before.wait === 0);
  }

  isHeld(key: ObjectKey, now: number): boolean {
    if (this.#holds.size === 0) return false;
    const hold = this.#holds.get(key);
    return hold !== undefined && hold.until > now;
  }

  why(key: ObjectKey): string | undefined {
    return this.#holds.get(key)?.why;
  }

  release(key: ObjectKey): void {
    this.#holds.delete(key);
  }

  /** All may be tried now: something changed that could have been the cause. They answer their keys. */
  expire(): ObjectKey[] {
    for (const hold of this.#holds.values()) hold.until = 0;
    return [...this.#holds.keys()];
  }

  due(now: number): ObjectKey[] {
    return [...this.#holds].filter(([, { until }]) => until <= now).map(([key]) => key);
  }

  /** When the next one is, or was, due, if there is any. */
  next(): number | undefined {
    let next: number | undefined;
    for (const { until } of this.#holds.values()) if (next === undefined || until < next) next = until;
    return next;
  }

  failed(): { what: string; why: string }[] {
    return [...this.#holds.values()].map(({ what, why }) => ({ what, why }));
  }

  /** Counts one more repair, and refuses it when there were too many: somebody else wants the object otherwise. */
  mayRepair(key: ObjectKey, what: () => string, now: number): boolean {
    const repairs = this.#repairs.get(key) ?? new Repairs();
    if (!repairs.mayRepair(now)) {
      this.#holds.set(key, { what: what(), why: fight, wait: first, until: now + 1000 });
      return false;
    }
    this.#repairs.set(key, repairs);
    if (this.#repairs.size > this.#sweepAt) this.#forgetQuiet(now);
    return true;
  }

  #forgetQuiet(now: number): void {
    for (const [key, repairs] of this.#repairs) if (repairs.isQuiet(now)) this.#repairs.delete(key);
    this.#sweepAt = Math.max(1000, 2 * this.#repairs.size);
  }
}
