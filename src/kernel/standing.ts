import type { ActualObject } from './actual.ts';
import type { Failure } from './apply.ts';
import type { Difference } from './diff.ts';
import { Holds } from './holds.ts';
import type { ObjectKey } from './object.ts';
import { describe, type Operation, textOf } from './operation.ts';
import type { Failed } from './report.ts';

/** How each object stands: in place, missing, in somebody's way, or to be left alone for a while. */
export class Standing {
  readonly #holds = new Holds();
  /** Desired anew and not yet in place: to put it there is no repair. */
  readonly #fresh = new Set<ObjectKey>();
  readonly #missing = new Set<ObjectKey>();
  readonly #foreign = new Map<ObjectKey, ActualObject>();
  #repairs = 0;

  get repairs(): number {
    return this.#repairs;
  }

  get missing(): number {
    return this.#missing.size;
  }

  isMissing(key: ObjectKey): boolean {
    return this.#missing.has(key);
  }

  /** What keeps the object from its place; undefined when nothing does, or nothing is known to. */
  obstacle(key: ObjectKey): string | undefined {
    const foreign = this.#foreign.get(key);
    if (foreign === undefined) return this.#holds.why(key);
    return `${textOf(foreign)} stands where ${key} should be, and is not flannel's: remove it`;
  }

  foreign(): string[] {
    return [...this.#foreign.values()].map(textOf);
  }

  failed(): Failed[] {
    return this.#holds.failed();
  }

  /** It is desired otherwise than before: a new start. */
  renew(key: ObjectKey): void {
    this.#holds.release(key);
    this.#fresh.add(key);
  }

  /** What failed may be tried again at once: something changed that could have been the cause. */
  retryAll(): ObjectKey[] {
    return this.#holds.expire();
  }

  due(now: number): ObjectKey[] {
    return this.#holds.due(now);
  }

  nextRetry(): number | undefined {
    return this.#holds.next();
  }

  /** After a comparison of `scope`, or of everything. */
  compared(scope: ReadonlySet<ObjectKey> | undefined, { operations, foreign, waiting }: Difference): void {
    if (scope === undefined) {
      this.#missing.clear();
      this.#foreign.clear();
    } else {
      for (const key of scope) {
        this.#missing.delete(key);
        this.#foreign.delete(key);
      }
    }
    for (const { key, verb } of operations) if (verb !== 'remove') this.#missing.add(key);
    for (const key of waiting) this.#missing.add(key);
    for (const [key, object] of foreign) {
      this.#missing.add(key);
      this.#foreign.set(key, object);
    }
    this.#releaseIdle(scope, operations);
    if (scope === undefined)
      for (const key of this.#fresh) if (!this.#missing.has(key)) this.#fresh.delete(key);
  }

  /** What was held back and is in place, or not wanted any more, is so by somebody else's doing. */
  #releaseIdle(scope: ReadonlySet<ObjectKey> | undefined, operations: readonly Operation[]): void {
    const held = this.#holds.keys();
    if (held.length === 0) return;
    const open = new Set(operations.map(({ key }) => key));
    for (const key of held) if (!open.has(key) && scope?.has(key) !== false) this.#holds.release(key);
  }

  /** Those that may be tried now. Before `settled` nothing counts as a repair. */
  allowed(operations: readonly Operation[], now: number, settled: boolean): Operation[] {
    return operations.filter((operation) => {
      const key = operation.key;
      if (this.#holds.isHeld(key, now)) return false;
      if (!settled || this.#fresh.has(key)) return true;
      return this.#holds.mayRepair(key, () => describe(operation), now);
    });
  }

  isRepair(operation: Operation): boolean {
    return !this.#fresh.has(operation.key);
  }

  succeeded(operation: Operation, settled: boolean): void {
    const key = operation.key;
    if (!this.#fresh.delete(key) && settled) this.#repairs++;
    this.#missing.delete(key);
    this.#holds.release(key);
  }

  /** True when people should hear of it. */
  failedAt({ operation, why, surprising }: Failure, now: number): boolean {
    return this.#holds.fail(operation.key, { what: describe(operation), why, surprising }, now);
  }
}
