import { CodecError } from './codec-error.ts';

const alignment = 4;
const attributeHeader = 4;

/** NLMSG_ALIGN and NLA_ALIGN: everything on the wire starts at a multiple of four. */
export const align = (length: number): number => (length + alignment - 1) & ~(alignment - 1);

/** Bytes that grow at the end; those behind it are zero. Numbers are in the machine's order, which on every platform we build for is little. */
export class Writer {
  bytes: Uint8Array<ArrayBuffer>;
  view: DataView<ArrayBuffer>;
  length = 0;

  constructor(capacity = 256) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Makes room for `size` zero bytes and answers where they start. */
  reserve(size: number): number {
    const start = this.length;
    const end = start + size;
    if (end > this.bytes.length) this.#grow(end);
    this.length = end;
    return start;
  }

  /** Forgets what was written. */
  clear(): void {
    this.bytes.fill(0, 0, this.length);
    this.length = 0;
  }

  raw(bytes: Uint8Array): void {
    const start = this.reserve(bytes.length);
    this.bytes.set(bytes, start);
  }

  /** Opens an attribute; {@link endAttribute} with the answer closes it. `type` includes the NLA_F_* bits. */
  startAttribute(type: number): number {
    const start = this.reserve(attributeHeader);
    this.view.setUint16(start + 2, type, true);
    return start;
  }

  /** Fills in the length and pads to the next attribute. Throws a CodecError above 65,535 bytes. */
  endAttribute(start: number): void {
    const length = this.length - start;
    if (length > 0xffff) throw new CodecError(`${length} bytes do not fit into one attribute`);
    this.view.setUint16(start, length, true);
    this.reserve(align(this.length) - this.length);
  }

  /** What was written, until something is written again. */
  get written(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  #grow(needed: number): void {
    const larger = new Uint8Array(Math.max(needed, 2 * this.bytes.length));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
    this.view = new DataView(larger.buffer);
  }
}
