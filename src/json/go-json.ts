/**
 * JSON as Go's encoding/json reads it into a struct: a key matches in any letter case, of duplicates the last wins,
 * null leaves a field as it was, unknown keys do no harm. For example
 *
 *     const document = parseJson(bytes, 'net-conf.json');
 *     const config = foldKeys(asObject(document, 'net-conf.json'), ['Network', 'EnableIPv6', 'Backend']);
 *     config['Network']   // also for {"network": ...}
 */
export type JsonObject = Record<string, unknown>;

/** The text cannot be read: the message names the source, what is wrong, and where. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
}

/** A document may be as long as this, in bytes, and nested as deep. No honest one comes near. */
export const maxLength = 4 * 1024 * 1024;
export const maxDepth = 200;

/** Reads a whole document. `source` says in the message what was read. Throws a {@link JsonError}. */
export function parseJson(input: string | Uint8Array, source: string): unknown {
  const text = typeof input === 'string' ? input : decode(input, source);
  if (text.length > maxLength) {
    throw new JsonError(`${source} is ${text.length} characters long; ${maxLength} are allowed`);
  }
  refuseDepth(text, source);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new JsonError(`${source} is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

/** Throws a {@link JsonError} that says what is there instead of an object. */
export function asObject(value: unknown, where: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new JsonError(`${where} must be an object, and is ${kindOf(value)}`);
}

/** What a value is, for messages: `a string`, `null`. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'absent';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return 'an object';
  return `a ${typeof value}`;
}

/** The object with the names of `keys` in place of what folds to them; nulls are left out, unknown keys stay as they are. */
export function foldKeys(object: JsonObject, keys: readonly string[]): JsonObject {
  const canonical = new Map(keys.map((key) => [fold(key), key]));
  const folded: JsonObject = {};
  for (const [key, value] of Object.entries(object)) {
    if (value === null) continue;
    // defineProperty: a key "__proto__" is a key like any other.
    Object.defineProperty(folded, canonical.get(fold(key)) ?? key, {
      value,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return folded;
}

const fold = (key: string): string => key.toLowerCase();

function decode(bytes: Uint8Array, source: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new JsonError(`${source} is not UTF-8 text`, { cause: error });
  }
}

/** JSON.parse would exhaust the stack of a thread; counting brackets outside of strings takes none. */
function refuseDepth(text: string, source: string): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const character = text.charCodeAt(i);
    if (inString) {
      if (character === 0x5c) i++;
      else if (character === 0x22) inString = false;
    } else if (character === 0x22) inString = true;
    else if (character === 0x7b || character === 0x5b) {
      if (++depth > maxDepth) throw new JsonError(`${source} is nested deeper than ${maxDepth} levels`);
    } else if (character === 0x7d || character === 0x5d) depth--;
  }
}
