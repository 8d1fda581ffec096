import { WrittenFraction } from '../json/go-json.ts';

/** A node has one configuration a network, and another one while it is changed. */
const most = 16;
/** Longer keys, in characters, are not worth their memory. */
const longest = 16_384;

/**
 * What a pure function has answered lately, by a text that stands for all that it was given. The pods of a node come with
 * one and the same configuration, and understanding it anew was most of the JavaScript that an ADD took.
 */
export class Lately<T> {
  readonly #answers = new Map<string, T>();

  /** What `answer` throws is thrown, and asked for again the next time. */
  of(key: string, answer: () => T): T {
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    const fresh = answer();
    if (key.length > longest) return fresh;
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size < most) break;
      this.#answers.delete(oldest);
    }
    this.#answers.set(key, fresh);
    return fresh;
  }
}

/**
 * The same for what depends on an object, which an earlier answer was, and perhaps on a text: that which came with it last is
 * remembered.
 */
export class LatelyOf<O extends object, T> {
  readonly #answers = new WeakMap<O, { readonly key: string; readonly answer: T }>();

  of(object: O, answer: () => T, key = ''): T {
    const known = this.#answers.get(object);
    if (known?.key === key) return known.answer;
    const fresh = answer();
    this.#answers.set(object, { key, answer: fresh });
    return fresh;
  }
}

/** Different documents have different texts: 1 and 1.0 too, of which Go takes the second for no integer. */
export const keyOf = (document: unknown): string =>
  JSON.stringify(document, (_key, value: unknown) =>
    value instanceof WrittenFraction ? { fraction: Number(value) } : value,
  );
