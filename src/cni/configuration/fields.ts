import { isAbsolute } from 'node:path';
import { asObject, foldKeys, type JsonObject, kindOf } from '../../json/go-json.ts';
import { CniError, cniCodes } from '../error.ts';

/**
 * One object of a configuration, read key by key as Go reads it into a struct: keys in any letter case, null is
 * absent. What has the wrong type is a {@link CniError} that names the key by its path.
 */
export class Fields {
  readonly #object: JsonObject;
  readonly #where: string;

  /** `where` is the object's path for messages: `delegate.runtimeConfig`, or empty at the top. */
  constructor(value: unknown, where: string, keys: readonly string[]) {
    this.#where = where;
    try {
      this.#object = foldKeys(asObject(value ?? {}, where), keys);
    } catch (error) {
      throw badField((error as Error).message);
    }
  }

  /** The object with its keys as they were asked for, without nulls; unknown keys are kept. */
  get all(): JsonObject {
    return this.#object;
  }

  boolean(key: string): boolean | undefined {
    return this.#take(key, 'true or false', (value): value is boolean => typeof value === 'boolean');
  }

  string(key: string): string | undefined {
    return this.#take(key, 'a string', (value): value is string => typeof value === 'string');
  }

  /** A path; one that is empty is absent. A relative one would be another file for each process that it is handed to. */
  file(key: string): string | undefined {
    const file = this.string(key) || undefined;
    if (file === undefined || isAbsolute(file)) return file;
    throw badField(`${this.path(key)} must be an absolute path, and is "${file}"`);
  }

  integer(key: string): number | undefined {
    return this.#take(key, 'a whole number', (value): value is number => Number.isSafeInteger(value));
  }

  /** From 0 to 2^32-1, which is what the kernel has room for. */
  unsigned(key: string): number | undefined {
    const fits = (value: unknown): value is number =>
      Number.isInteger(value) && Number(value) >= 0 && Number(value) < 2 ** 32;
    return this.#take(key, 'a whole number from 0 to 4294967295', fits);
  }

  list(key: string): readonly unknown[] | undefined {
    return this.#take(key, 'a list', (value): value is unknown[] => Array.isArray(value));
  }

  strings(key: string): readonly string[] | undefined {
    const isStrings = (value: unknown): value is string[] =>
      Array.isArray(value) && value.every((one) => typeof one === 'string');
    return this.#take(key, 'a list of strings', isStrings);
  }

  /** An object below this one; one that is absent is empty. */
  below(key: string, keys: readonly string[]): Fields {
    return new Fields(this.#object[key], this.path(key), keys);
  }

  /** The objects of a list. */
  each(key: string, keys: readonly string[]): Fields[] {
    return (this.list(key) ?? []).map((value, i) => new Fields(value, `${this.path(key)}[${i}]`, keys));
  }

  path(key: string): string {
    return this.#where === '' ? key : `${this.#where}.${key}`;
  }

  #take<T>(key: string, wanted: string, fits: (value: unknown) => value is T): T | undefined {
    const value = this.#object[key];
    if (value === undefined) return undefined;
    if (fits(value)) return value;
    const given = typeof value === 'object' ? kindOf(value) : JSON.stringify(value);
    throw badField(`${this.path(key)} must be ${wanted}, and is ${given}`);
  }
}

/** A configuration that makes no sense: code 7, with the reference's beginning. */
export const badField = (message: string): CniError =>
  new CniError(cniCodes.badConfiguration, `failed to load netconf: ${message}`);
