/** One program against another: so many repairs in a row, and one more each second, are made at once. */
const burst = 150;

/** Repairs of one thing made lately: a bucket that leaks one a second. Times are {@link Clock.monotonic}'s. */
export class Repairs {
  #level = 0;
  #at = 0;

  /** Counts one more. False when there were too many: somebody else wants the thing otherwise. */
  mayRepair(now: number): boolean {
    const level = this.#levelAt(now);
    if (level >= burst) return false;
    this.#level = level + 1;
    this.#at = now;
    return true;
  }

  isQuiet(now: number): boolean {
    return this.#levelAt(now) === 0;
  }

  #levelAt(now: number): number {
    return Math.max(0, this.#level - (now - this.#at) / 1000);
  }
}
