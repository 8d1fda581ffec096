import { KeptBytes } from './kept-bytes.ts';
import { SkimError } from './skim-error.ts';
import { SkimValue } from './skim-value.ts';
import { BACKSLASH, BRACE, BRACE_END, BRACKET, BRACKET_END, COLON, COMMA, isSpace, QUOTE } from './tokens.ts';

/**
 * What of a value is kept: all of it, those members of an object that are named (or that a function chooses), or the
 * elements of an array, each handed on as a text of its own as soon as it is whole (of the array `[]` stays).
 */
export type Wanted = true | WantedMembers | ((key: string) => boolean) | Each;
export interface WantedMembers {
  readonly [key: string]: Wanted;
}

export class Each {
  readonly wanted: Wanted;
  readonly onElement: (text: string) => void;

  constructor(wanted: Wanted, onElement: (text: string) => void) {
    this.wanted = wanted;
    this.onElement = onElement;
  }
}

export interface JsonSkimOptions {
  readonly wanted: Wanted;
  /** What is kept of a document, or of an element, may be as long as this in bytes. */
  readonly longest: number;
  readonly onDocument: (text: string) => void;
}

/**
 * Takes JSON objects apart while they come in, one after the other, and keeps only what is wanted: so a list of a
 * thousand Nodes of 15 kB takes the room of one. It checks only what it needs to find its way; who gets the texts parses
 * them, and finds there what is wrong with the rest. A value that is not what `Wanted` expects (no object, no array) is kept whole.
 */
export class JsonSkim {
  readonly #options: JsonSkimOptions;
  /** The objects and arrays that we are in and look into, from the outside in. */
  readonly #frames: Frame[] = [];
  readonly #kept: KeptBytes[] = [];
  #expects: Expects = 'value';
  readonly #key: KeptBytes;
  #keyWanted: Wanted | undefined;
  readonly #value = new SkimValue();
  #inKey = false;
  #escaped = false;

  constructor(options: JsonSkimOptions) {
    this.#options = options;
    this.#key = new KeptBytes(options.longest);
  }

  /** Throws a {@link SkimError}, or what `onDocument` and `onElement` throw. */
  take(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#value.isOpen) at = this.#passValue(chunk, at);
      else if (this.#inKey) at = this.#passKey(chunk, at);
      else at = this.#structure(chunk[at] as number, at);
    }
  }

  /** Throws a {@link SkimError} if a document has begun and not ended. */
  end(): void {
    if (this.#frames.length > 0 || this.#value.isOpen) throw new SkimError('the answer ends in the middle');
  }

  #structure(byte: number, at: number): number {
    if (isSpace(byte)) return at + 1;
    const frame = this.#frames.at(-1);
    switch (this.#expects) {
      case 'value':
        return this.#begin(byte, at, frame === undefined ? this.#options.wanted : this.#wantedIn(frame));
      case 'first':
        if (byte === closingOf(frame)) return this.#close(at);
        this.#expects = frame?.isArray === true ? 'value' : 'key';
        return at;
      case 'key':
        if (byte !== QUOTE) throw new SkimError('a key is missing');
        this.#inKey = true;
        this.#key.add(quoteBytes);
        return at + 1;
      case 'colon':
        if (byte !== COLON) throw new SkimError('a colon is missing');
        this.#expects = 'value';
        return at + 1;
      case 'comma':
        if (byte === closingOf(frame)) return this.#close(at);
        if (byte !== COMMA) throw new SkimError('a comma is missing');
        this.#expects = frame?.isArray === true ? 'value' : 'key';
        return at + 1;
    }
  }

  /** Undefined: nothing of it. */
  #wantedIn({ wanted }: Frame): Wanted | undefined {
    return wanted instanceof Each ? wanted.wanted : this.#keyWanted;
  }

  #begin(byte: number, at: number, wanted: Wanted | undefined): number {
    const frame = this.#frames.at(-1);
    if (frame === undefined && byte !== BRACE) throw new SkimError('it is no JSON object');
    if (frame === undefined || frame.wanted instanceof Each)
      this.#kept.push(new KeptBytes(this.#options.longest));
    const isArray = wanted instanceof Each;
    if (wanted === undefined || wanted === true || byte !== (isArray ? BRACKET : BRACE)) {
      this.#value.begin(wanted !== undefined);
      return at;
    }
    this.#frames.push({ wanted, isArray, count: 0 });
    this.#keep(isArray ? bracketBytes : braceBytes);
    this.#expects = 'first';
    return at + 1;
  }

  #passKey(chunk: Buffer, start: number): number {
    let at = start;
    while (at < chunk.length) {
      const byte = chunk[at++] as number;
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) {
        this.#inKey = false;
        break;
      }
    }
    this.#key.add(chunk.subarray(start, at));
    if (!this.#inKey) this.#keyEnded();
    return at;
  }

  #keyEnded(): void {
    this.#expects = 'colon';
    const frame = this.#frames.at(-1);
    const raw = this.#key.take();
    this.#keyWanted = frame && wantedMember(frame.wanted, keyOf(raw));
    if (frame === undefined || this.#keyWanted === undefined) return;
    this.#keep(Buffer.from(`${frame.count++ > 0 ? ',' : ''}${raw}:`));
  }

  #passValue(chunk: Buffer, start: number): number {
    const end = this.#value.pass(chunk, start);
    if (this.#value.isWanted) this.#keep(chunk.subarray(start, end));
    if (!this.#value.isOpen) this.#ended();
    return end;
  }

  #close(at: number): number {
    const frame = this.#frames.pop();
    this.#keep(frame?.isArray === true ? bracketEndBytes : braceEndBytes);
    this.#ended();
    return at + 1;
  }

  /** A value is whole. */
  #ended(): void {
    const frame = this.#frames.at(-1);
    this.#expects = frame === undefined ? 'value' : 'comma';
    if (frame === undefined) this.#options.onDocument(this.#take());
    else if (frame.wanted instanceof Each) frame.wanted.onElement(this.#take());
  }

  #take(): string {
    return this.#kept.pop()?.take() ?? '';
  }

  #keep(bytes: Uint8Array): void {
    this.#kept.at(-1)?.add(bytes);
  }
}

type Expects = 'value' | 'first' | 'key' | 'colon' | 'comma';

interface Frame {
  readonly wanted: Wanted;
  readonly isArray: boolean;
  /** Members that were kept. */
  count: number;
}

function wantedMember(wanted: Wanted, key: string): Wanted | undefined {
  if (typeof wanted === 'function') return wanted(key) ? true : undefined;
  if (wanted === true || wanted instanceof Each) return undefined;
  return Object.hasOwn(wanted, key) ? wanted[key] : undefined;
}

function keyOf(raw: string): string {
  if (!raw.includes('\\')) return raw.slice(1, -1);
  try {
    return String(JSON.parse(raw));
  } catch {
    throw new SkimError('a key is no string');
  }
}

const quoteBytes = Buffer.of(QUOTE);
const braceBytes = Buffer.of(BRACE);
const braceEndBytes = Buffer.of(BRACE_END);
const bracketBytes = Buffer.of(BRACKET);
const bracketEndBytes = Buffer.of(BRACKET_END);

const closingOf = (frame: Frame | undefined): number => (frame?.isArray === true ? BRACKET_END : BRACE_END);
