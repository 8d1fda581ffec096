import type { Fields } from './attributes.ts';
import type { Writer } from './writer.ts';

/**
 * What one attribute holds: one entry of a table, which both reads and writes it.
 * The methods throw a CodecError, and nothing else, on bytes or values that do not fit.
 */
export interface Payload<T> {
  decode(view: DataView, start: number, end: number): T;
  encode(writer: Writer, value: T): void;
  /** Bits for the attribute's type: NLA_F_NESTED where a strict family asks for it. */
  readonly typeFlags?: number;
  readonly shape: Shape;
}

/** A table says what it is made of, so that tests can make up values and errors can name an offset. */
export type Shape =
  | { kind: 'integer'; min: number; max: number }
  | { kind: 'u64' | 'string' | 'flag' | 'binary' | 'address' | 'mac' }
  | { kind: 'struct'; fields: Readonly<Record<string, Shape>> }
  | { kind: 'nested'; fields: Fields; header?: Shape; headerSize: number }
  | { kind: 'list'; item: Shape }
  | { kind: 'packed'; item: Shape };

/** What a payload holds, for inference. */
export type ValueOf<P> = P extends Payload<infer T> ? T : never;

/** A copy: the buffer that was read from is used again. */
export function copyBytes(view: DataView, start: number, end: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + start, end - start).slice();
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
