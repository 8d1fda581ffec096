import { maxDepth } from '../../json/go-json.ts';

export interface JsonSkimOptions {
  /** The array whose elements are documents of their own (`items` of a Kubernetes list). Without it each whole text is one. */
  readonly each?: string;
  /** Values that nobody needs, by their path in a document: `metadata.managedFields`. `null` comes in their place. */
  readonly drop?: readonly string[];
  /** A document may be as long as this, in bytes, without what is dropped. */
  readonly longest: number;
  readonly onDocument: (text: string) => void;
}

/** The text is not what it should be. */
export class SkimError extends Error {
  override readonly name = 'SkimError';
}

/**
 * Takes JSON apart while it comes in: hands on each element of a list, or each text of a stream, as soon as it is
 * complete, without what nobody needs. So a list of a thousand Nodes of 15 kB takes the room of one. It checks only
 * what it needs to find its way; who gets the documents parses them.
 */
export class JsonSkim {
  readonly #each: string | undefined;
  readonly #drop: ReadonlySet<string>;
  readonly #longest: number;
  readonly #onDocument: (text: string) => void;
  readonly #deepestDrop: number;
  /** What is kept of the document at hand, and of the text around the documents. */
  #document = new Kept();
  readonly #envelope = new Kept();
  /** The brackets that are open, from the outside in. */
  readonly #open: number[] = [];
  /** How many of them are around a document: 0, or 2 inside of the array of a list. */
  #base = 0;
  /** The keys on the way to where we are, in the document. */
  readonly #path: string[] = [];
  #key: number[] = [];
  #inString = false;
  #inKey = false;
  #escaped = false;
  /** A string that begins now is a key. */
  #expectKey = false;
  /** A value is left out until this many brackets are open again; -1: nothing is. */
  #dropping = -1;

  constructor({ each, drop = [], longest, onDocument }: JsonSkimOptions) {
    this.#each = each;
    this.#drop = new Set(drop);
    this.#longest = longest;
    this.#onDocument = onDocument;
    this.#deepestDrop = Math.max(0, ...drop.map((path) => path.split('.').length));
  }

  /** Throws a {@link SkimError}, or what `onDocument` throws. */
  take(chunk: Buffer): void {
    let from = 0;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (this.#inString) {
        i = this.#string(chunk, i);
        continue;
      }
      switch (byte) {
        case QUOTE:
          this.#inString = true;
          this.#inKey = this.#expectKey && this.#watched;
          this.#key = [];
          break;
        case COLON:
          this.#expectKey = false;
          if (this.#isDropped) {
            this.#keep(chunk, from, i + 1);
            this.#keepText('null');
            this.#dropping = this.#open.length;
          }
          break;
        case COMMA:
          if (this.#dropping === this.#open.length) [from, this.#dropping] = [i, -1];
          else if (this.#isBetween) [from] = [this.#skip(chunk, from, i)];
          this.#expectKey = this.#open.at(-1) === BRACE;
          break;
        case BRACE:
        case BRACKET:
          from = this.#opened(chunk, from, i, byte);
          break;
        case BRACE_END:
        case BRACKET_END:
          from = this.#closed(chunk, from, i, byte);
          break;
        default:
      }
    }
    this.#keep(chunk, from, chunk.length);
  }

  /** What was around the documents: the list without its elements. Throws a {@link SkimError} if the text ended too early. */
  end(): string {
    if (this.#open.length > 0 || this.#inString) throw new SkimError('the answer ends in the middle');
    return this.#envelope.take();
  }

  /** Goes to the end of a string, and answers where that is. */
  #string(chunk: Buffer, start: number): number {
    for (let i = start; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) {
        this.#inString = false;
        if (this.#inKey) this.#path[this.#open.length - this.#base - 1] = String.fromCharCode(...this.#key);
        this.#inKey = false;
        return i;
      }
      if (this.#inKey && this.#key.length < longestKey) this.#key.push(byte);
    }
    return chunk.length;
  }

  #opened(chunk: Buffer, from: number, i: number, byte: number): number {
    if (this.#open.length >= maxDepth) throw new SkimError(`it is nested deeper than ${maxDepth} levels`);
    const begins = this.#dropping === -1 && this.#begins(byte);
    if (begins) this.#keep(chunk, from, i);
    this.#open.push(byte);
    this.#expectKey = byte === BRACE;
    if (begins) this.#base = this.#open.length - 1;
    const isArray = this.#each !== undefined && this.#base === 0 && byte === BRACKET;
    if (isArray && this.#open.length === 2 && this.#path[0] === this.#each) {
      this.#keep(chunk, from, i + 1);
      this.#base = 2;
      return i + 1;
    }
    return begins ? i : from;
  }

  #closed(chunk: Buffer, from: number, i: number, byte: number): number {
    const open = this.#open.pop();
    if (open !== (byte === BRACE_END ? BRACE : BRACKET)) throw new SkimError('its brackets do not match');
    this.#expectKey = false;
    let start = from;
    // The object that the dropped value was in ends here.
    if (this.#dropping === this.#open.length + 1) [start, this.#dropping] = [i, -1];
    if (this.#dropping !== -1) return start;
    if (this.#base === 2 && this.#open.length === 1) {
      start = this.#skip(chunk, start, i);
      this.#base = 0;
      return start;
    }
    if (this.#open.length !== this.#base || (this.#each !== undefined && this.#base === 0)) return start;
    this.#keep(chunk, start, i + 1);
    this.#onDocument(this.#document.take());
    return i + 1;
  }

  /** Between documents of a list there are commas and white space, which nobody needs. */
  #skip(chunk: Buffer, from: number, to: number): number {
    if (/[^\s,]/.test(chunk.toString('latin1', from, to))) throw new SkimError('its elements are no objects');
    this.#document = new Kept();
    return to;
  }

  /** Whether a bracket begins a document: only objects are. */
  #begins(byte: number): boolean {
    if (this.#open.length !== this.#base) return false;
    if (byte !== BRACE) throw new SkimError('an object was expected');
    return true;
  }

  get #isBetween(): boolean {
    return this.#base === 2 && this.#open.length === 2;
  }

  /** Whether keys matter here. */
  get #watched(): boolean {
    const depth = this.#open.length - this.#base;
    return this.#dropping === -1 && (depth <= this.#deepestDrop || (this.#base === 0 && depth === 1));
  }

  get #isDropped(): boolean {
    const depth = this.#open.length - this.#base;
    if (this.#dropping !== -1 || depth > this.#deepestDrop || this.#drop.size === 0) return false;
    if (this.#each !== undefined && this.#base === 0) return false;
    return this.#drop.has(this.#path.slice(0, depth).join('.'));
  }

  #keep(chunk: Buffer, from: number, to: number): void {
    if (this.#dropping !== -1 || to <= from) return;
    this.#target.add(Buffer.from(chunk.subarray(from, to)), this.#longest);
  }

  #keepText(text: string): void {
    this.#target.add(Buffer.from(text), this.#longest);
  }

  get #target(): Kept {
    return this.#each !== undefined && this.#base === 0 ? this.#envelope : this.#document;
  }
}

class Kept {
  #parts: Buffer[] = [];
  #length = 0;

  add(part: Buffer, longest: number): void {
    this.#length += part.length;
    if (this.#length > longest) throw new SkimError(`a part of it is longer than ${longest} bytes`);
    this.#parts.push(part);
  }

  take(): string {
    const text = Buffer.concat(this.#parts).toString('utf8');
    this.#parts = [];
    this.#length = 0;
    return text;
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const BRACE = 0x7b;
const BRACE_END = 0x7d;
const BRACKET = 0x5b;
const BRACKET_END = 0x5d;
/** No path has a longer key. */
const longestKey = 64;
