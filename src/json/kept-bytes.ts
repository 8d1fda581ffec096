import { SkimError } from './skim-error.ts';

/** Bytes that are kept, in a buffer that grows. */
export class KeptBytes {
  readonly #longest: number;
  #bytes = Buffer.allocUnsafe(256);
  #length = 0;

  constructor(longest: number) {
    this.#longest = longest;
  }

  add(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length > this.#longest) throw new SkimError(`a part of it is longer than ${this.#longest} bytes`);
    if (length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(2 * length);
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = length;
  }

  take(): string {
    const text = this.#bytes.toString('utf8', 0, this.#length);
    this.#length = 0;
    return text;
  }
}
