import { CodecError } from './codec-error.ts';
import type { Payload } from './payload.ts';

/** A number of fixed size; inside a struct it has an offset, as an attribute it stands alone. */
export interface Scalar<T extends number | bigint = number> extends Payload<T> {
  readonly size: 1 | 2 | 4 | 8;
  get(view: DataView, offset: number): T;
  /** Throws a CodecError for a value out of range. */
  set(view: DataView, offset: number, value: T): void;
}

/** Big endian numbers (ports) are be16 and be32; all others are in the machine's order. */
export const u8 = integer(
  1,
  false,
  (view, at) => view.getUint8(at),
  (view, at, value) => view.setUint8(at, value),
);
export const u16 = integer(
  2,
  false,
  (view, at) => view.getUint16(at, true),
  (view, at, value) => view.setUint16(at, value, true),
);
export const u32 = integer(
  4,
  false,
  (view, at) => view.getUint32(at, true),
  (view, at, value) => view.setUint32(at, value, true),
);
export const i32 = integer(
  4,
  true,
  (view, at) => view.getInt32(at, true),
  (view, at, value) => view.setInt32(at, value, true),
);
export const be16 = integer(
  2,
  false,
  (view, at) => view.getUint16(at),
  (view, at, value) => view.setUint16(at, value),
);
export const be32 = integer(
  4,
  false,
  (view, at) => view.getUint32(at),
  (view, at, value) => view.setUint32(at, value),
);

export const u64: Scalar<bigint> = alone({
  size: 8,
  shape: { kind: 'u64' },
  get: (view, at) => view.getBigUint64(at, true),
  set(view, at, value) {
    if (value < 0n || value >> 64n !== 0n) throw new CodecError(`${value} is out of 0..2^64-1`);
    view.setBigUint64(at, value, true);
  },
});

type Get = (view: DataView, offset: number) => number;
type Set = (view: DataView, offset: number, value: number) => void;

function integer(size: 1 | 2 | 4, signed: boolean, get: Get, write: Set): Scalar {
  const range = 2 ** (8 * size);
  const min = signed ? -range / 2 : 0;
  const max = min + range - 1;
  const set: Set = (view, offset, value) => {
    if (!(Number.isInteger(value) && value >= min && value <= max)) {
      throw new CodecError(`${value} is out of ${min}..${max}`);
    }
    write(view, offset, value);
  };
  return alone({ size, shape: { kind: 'integer', min, max }, get, set });
}

/** As an attribute of its own. A different width is a different attribute: half a number would be a wrong one. */
function alone<T extends number | bigint>(scalar: Omit<Scalar<T>, 'decode' | 'encode'>): Scalar<T> {
  const { size, get, set } = scalar;
  return {
    ...scalar,
    decode(view, start, end) {
      if (end - start !== size) throw new CodecError(`${size} bytes expected, ${end - start} found`);
      return get(view, start);
    },
    encode(writer, value) {
      const at = writer.reserve(size);
      set(writer.view, at, value);
    },
  };
}
