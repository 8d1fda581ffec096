import { explainSyntax } from './syntax.ts';

/**
 * JSON as Go's encoding/json reads it into a struct: a key matches in any letter case, of duplicates the last wins,
 * null leaves a field as it was, unknown keys do no harm, and `1.0` or `1e3` is no integer. For example
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

/** `1.0`, `1e3`: JSON.stringify writes it as the number that it is. */
export class WrittenFraction extends Number {}

/** A document may be as long as this, in bytes, and nested as deep. No honest one comes near. */
export const maxLength = 4 * 1024 * 1024;
export const maxDepth = 200;

/**
 * Reads a whole document. `source` says in the message what was read; `longest` is in bytes, or in characters of a
 * string. Throws a {@link JsonError}.
 *
 * An integer written with a fraction or an exponent becomes a {@link WrittenFraction}: it is no `typeof 'number'`, so whoever
 * wants an integer refuses it as Go does, and it is still a number when it is written out again.
 */
export function parseJson(input: string | Uint8Array, source: string, longest = maxLength): unknown {
  if (input.length > longest) {
    const unit = typeof input === 'string' ? 'characters' : 'bytes';
    throw new JsonError(`${source} is ${input.length} ${unit} long; ${longest} are allowed`);
  }
  const text = typeof input === 'string' ? input : decode(input, source);
  const { hasFractions } = survey(text, source);
  try {
    return hasFractions ? JSON.parse(text, markFractions) : JSON.parse(text);
  } catch (error) {
    if (error instanceof JsonError) throw new JsonError(`${source}: ${error.message}`);
    // Not V8's own message: that quotes the text, in which there may be a key.
    throw new JsonError(`${source} is not JSON: ${explainSyntax(text)}`);
  }
}

/** JSON as Go's encoding/json writes it, which is wary of HTML and JavaScript. `replacer` as JSON.stringify's. */
export const goJson = (value: unknown, replacer?: (key: string, value: unknown) => unknown): string =>
  (JSON.stringify(value, replacer) ?? 'null').replace(
    /[<>&\u2028\u2029]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** Throws a {@link JsonError} that says what is there instead of an object. */
export function asObject(value: unknown, where: string): JsonObject {
  if (isObject(value)) return value;
  throw new JsonError(`${where} must be an object, and is ${kindOf(value)}`);
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof WrittenFraction);

/** What a value is, for messages: `a string`, `null`. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'absent';
  if (Array.isArray(value)) return 'an array';
  if (value instanceof WrittenFraction) return 'a number with a fraction or exponent';
  if (typeof value === 'object') return 'an object';
  return `a ${typeof value}`;
}

/** The object with the names of `keys` in place of what folds to them; nulls are left out, unknown keys stay as they are. */
export function foldKeys(object: JsonObject, keys: readonly string[]): JsonObject {
  const folded: JsonObject = {};
  for (const [key, value] of Object.entries(object)) {
    if (value !== null) set(folded, keys.includes(key) ? key : canonicalOf(key, keys), value);
  }
  return folded;
}

function canonicalOf(key: string, keys: readonly string[]): string {
  const folded = fold(key);
  return keys.find((known) => fold(known) === folded) ?? key;
}

/** A key "__proto__" is a key like any other. */
function set(object: JsonObject, key: string, value: unknown): void {
  if (key !== '__proto__') object[key] = value;
  else Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
}

/** Simple case folding for keys made of ASCII letters: two letters beyond ASCII fold to `s` and `k`. */
const fold = (key: string): string =>
  key.replace(/[A-Z\u017f\u212a]/g, (letter) =>
    letter === '\u017f' ? 's' : letter === '\u212a' ? 'k' : letter.toLowerCase(),
  );

function decode(bytes: Uint8Array, source: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new JsonError(`${source} is not UTF-8 text`, { cause: error });
  }
}

/** JSON.parse would exhaust the stack of a thread; counting brackets outside of strings takes none. */
function survey(text: string, source: string): { hasFractions: boolean } {
  let depth = 0;
  let hasFractions = false;
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
    // A dot, or the exponent's letter behind a digit: those of "true" and "false" do not count.
    else if (character === 0x2e) hasFractions = true;
    else if (character === 0x45 || character === 0x65) hasFractions ||= isDigit(text.charCodeAt(i - 1));
  }
  return { hasFractions };
}

const isDigit = (character: number): boolean => character >= 0x30 && character <= 0x39;

function markFractions(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== 'number') return value;
  const { source = '' } = context ?? {};
  if (!Number.isFinite(value)) throw new JsonError(`the number ${source.slice(0, 20)} is out of range`);
  return Number.isInteger(value) && /[.eE]/.test(source) ? new WrittenFraction(value) : value;
}
