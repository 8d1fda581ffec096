const pageShift = 10n;
const pageBits = 1 << Number(pageShift);
const pageMask = BigInt(pageBits - 1);

interface Page {
  readonly words: Uint32Array;
  used: number;
}

/**
 * Which integers of a huge space are in use, as a bitmap of pages that exist only where something is.
 * Finding the next free one steps over a page that is full at once and over a page that is absent not at
 * all: it costs about the same in a /24 as in a /64, empty or full.
 */
export class Occupancy {
  readonly #pages = new Map<bigint, Page>();

  add(value: bigint): void {
    const number = value >> pageShift;
    let page = this.#pages.get(number);
    if (page === undefined)
      this.#pages.set(number, (page = { words: new Uint32Array(pageBits / 32), used: 0 }));
    const bit = Number(value & pageMask);
    const before = page.words[bit >>> 5] ?? 0;
    const after = (before | (1 << (bit & 31))) >>> 0;
    if (after === before) return;
    page.words[bit >>> 5] = after;
    page.used++;
  }

  delete(value: bigint): void {
    const number = value >> pageShift;
    const page = this.#pages.get(number);
    if (page === undefined) return;
    const bit = Number(value & pageMask);
    const before = page.words[bit >>> 5] ?? 0;
    const after = (before & ~(1 << (bit & 31))) >>> 0;
    if (after === before) return;
    page.words[bit >>> 5] = after;
    page.used--;
    if (page.used === 0) this.#pages.delete(number);
  }

  clear(): void {
    this.#pages.clear();
  }

  /** The lowest free integer from `first` to `last`, both included. */
  nextFree(first: bigint, last: bigint): bigint | undefined {
    for (let at = first; at <= last; at = ((at >> pageShift) + 1n) << pageShift) {
      const page = this.#pages.get(at >> pageShift);
      if (page === undefined) return at;
      if (page.used === pageBits) continue;
      const bit = nextFreeBit(page.words, Number(at & pageMask));
      if (bit === undefined) continue;
      const free = at - (at & pageMask) + BigInt(bit);
      return free <= last ? free : undefined;
    }
    return undefined;
  }

  /** How many integers from `first` to `last` are in use. */
  count(first: bigint, last: bigint): number {
    let count = 0;
    for (const [number, page] of this.#pages) {
      const start = number << pageShift;
      const from = first > start ? first - start : 0n;
      const to = last < start + pageMask ? last - start : pageMask;
      if (from > pageMask || to < 0n) continue;
      if (to - from === pageMask) count += page.used;
      else count += countBits(page.words, Number(from), Number(to));
    }
    return count;
  }
}

function nextFreeBit(words: Uint32Array, from: number): number | undefined {
  let mask = -1 << (from & 31);
  for (let index = from >>> 5; index < words.length; index++, mask = -1) {
    const free = ~(words[index] ?? 0) & mask;
    // free & -free keeps the lowest bit alone.
    if (free !== 0) return index * 32 + 31 - Math.clz32(free & -free);
  }
  return undefined;
}

function countBits(words: Uint32Array, from: number, to: number): number {
  let count = 0;
  for (let bit = from; bit <= to; bit++) count += ((words[bit >>> 5] ?? 0) >>> (bit & 31)) & 1;
  return count;
}
