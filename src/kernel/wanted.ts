import type { Part } from './desired.ts';
import { isSame } from './fit.ts';
import { type KernelObject, keyOf, type ObjectKey } from './object.ts';

/** A key that two parts claim: the one that came first has it. */
export interface Rival {
  readonly part: Part;
  readonly object: KernelObject;
}

/** All desired objects by their keys, put together from parts. Every method answers the keys that it changed. */
export class Wanted {
  readonly #parts = new Map<Part, readonly KernelObject[]>();
  readonly #objects = new Map<ObjectKey, KernelObject>();
  readonly #rivals = new Map<ObjectKey, Rival[]>();

  get objects(): ReadonlyMap<ObjectKey, KernelObject> {
    return this.#objects;
  }

  /** Who waits for a key that another has. */
  get rivals(): ReadonlyMap<ObjectKey, readonly Rival[]> {
    return this.#rivals;
  }

  keysOf(part: Part): ObjectKey[] {
    return (this.#parts.get(part) ?? []).map(keyOf);
  }

  set(part: Part, objects: readonly KernelObject[]): ObjectKey[] {
    const changed: ObjectKey[] = [];
    const fresh = new Map(objects.map((object) => [keyOf(object), object]));
    for (const object of this.#parts.get(part) ?? []) {
      const key = keyOf(object);
      const next = fresh.get(key);
      if (next === undefined || this.#objects.get(key) !== object) this.#release(key, part, object, changed);
      else {
        this.#objects.set(key, next);
        if (!isSame(object, next)) changed.push(key);
        fresh.delete(key);
      }
    }
    for (const [key, object] of fresh) this.#claim(key, part, object, changed);
    this.#parts.set(part, objects);
    return changed;
  }

  remove(part: Part): ObjectKey[] {
    const changed = this.set(part, []);
    this.#parts.delete(part);
    return changed;
  }

  /** These parts, and no others. */
  replaceAll(parts: ReadonlyMap<Part, readonly KernelObject[]>): ObjectKey[] {
    const changed: ObjectKey[] = [];
    for (const part of this.#parts.keys()) {
      if (!parts.has(part)) for (const key of this.remove(part)) changed.push(key);
    }
    for (const [part, objects] of parts) for (const key of this.set(part, objects)) changed.push(key);
    return changed;
  }

  #claim(key: ObjectKey, part: Part, object: KernelObject, changed: ObjectKey[]): void {
    if (!this.#objects.has(key)) {
      this.#objects.set(key, object);
      changed.push(key);
      return;
    }
    const rivals = this.#rivals.get(key);
    if (rivals === undefined) this.#rivals.set(key, [{ part, object }]);
    else rivals.push({ part, object });
  }

  #release(key: ObjectKey, part: Part, object: KernelObject, changed: ObjectKey[]): void {
    const rivals = this.#rivals.get(key);
    if (this.#objects.get(key) === object) {
      const next = rivals?.shift();
      if (next === undefined) this.#objects.delete(key);
      else this.#objects.set(key, next.object);
      changed.push(key);
    } else {
      const at = rivals?.findIndex((rival) => rival.part === part) ?? -1;
      if (at !== -1) rivals?.splice(at, 1);
    }
    if (rivals?.length === 0) this.#rivals.delete(key);
  }
}
