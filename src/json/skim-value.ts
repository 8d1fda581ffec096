import { maxDepth } from './go-json.ts';
import { SkimError } from './skim-error.ts';
import { BACKSLASH, BRACE, BRACE_END, BRACKET, BRACKET_END, isEnd, QUOTE } from './tokens.ts';

/** A value that is kept or left out as a whole: only its end is looked for. */
export class SkimValue {
  isOpen = false;
  isWanted = false;
  #kind: 'unknown' | 'string' | 'nested' | 'scalar' = 'unknown';
  #depth = 0;
  #inString = false;
  #escaped = false;

  begin(isWanted: boolean): void {
    this.isOpen = true;
    this.isWanted = isWanted;
    this.#kind = 'unknown';
    this.#depth = 0;
  }

  /** Answers where it ends, or the chunk. */
  pass(chunk: Buffer, start: number): number {
    let at = start;
    if (this.#kind === 'unknown') {
      const byte = chunk[at] as number;
      this.#kind = byte === QUOTE ? 'string' : byte === BRACE || byte === BRACKET ? 'nested' : 'scalar';
      if (isEnd(byte)) throw new SkimError('a value is missing');
    }
    for (; at < chunk.length && this.isOpen; at++) {
      const byte = chunk[at] as number;
      if (this.#inString) this.#inText(byte);
      else if (byte === QUOTE) this.#inString = true;
      else if (this.#kind === 'scalar') {
        if (!isEnd(byte)) continue;
        this.isOpen = false;
        return at;
      } else if (byte === BRACE || byte === BRACKET) {
        if (++this.#depth > maxDepth) throw new SkimError(`it is nested deeper than ${maxDepth} levels`);
      } else if (byte === BRACE_END || byte === BRACKET_END) this.isOpen = --this.#depth > 0;
    }
    return at;
  }

  #inText(byte: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) {
      this.#inString = false;
      if (this.#kind === 'string') this.isOpen = false;
    }
  }
}
