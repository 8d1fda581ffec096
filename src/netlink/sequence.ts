/** Sequence numbers of one socket, 1 to 2^32-1: 0 is what notifications carry. */
export class Sequence {
  #next = 1;

  /** The first of `count` numbers in a row. */
  take(count: number): number {
    if (this.#next + count > 0xffff_ffff) this.#next = 1;
    const first = this.#next;
    this.#next += count;
    return first;
  }
}
