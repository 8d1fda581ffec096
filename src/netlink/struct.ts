import { CodecError, within } from './codec-error.ts';
import type { Payload, Shape } from './payload.ts';
import type { Scalar } from './scalar.ts';

type Members = Readonly<Record<string, Scalar | Scalar<bigint>>>;
type StructValue<M extends Members> = { [K in keyof M]: ReturnType<M[K]['get']> };

/** A C struct of numbers; on write, members that are left out are zero. */
export interface Struct<T> extends Payload<T> {
  readonly size: number;
  readonly names: readonly string[];
  /** Takes its members out of an object that may hold more. */
  encode(this: void, writer: Parameters<Payload<T>['encode']>[0], value: Partial<T>): void;
}

/**
 * Lays the members out as a C compiler does: each at a multiple of its size (8 only where the kernel's
 * struct is not packed to 4), the whole a multiple of the largest. A longer struct is a newer kernel's
 * and is accepted, a shorter one is refused.
 */
export function struct<M extends Members>(members: M): Struct<StructValue<M>> {
  const { fields, size } = layOut(members);
  return {
    size,
    names: fields.map((field) => field.name),
    shape: { kind: 'struct', fields: shapes(members) },
    decode(view, start, end) {
      if (end - start < size) throw new CodecError(`${size} bytes expected, ${end - start} found`);
      const value: Record<string, number | bigint> = {};
      for (const { name, offset, scalar } of fields) value[name] = scalar.get(view, start + offset);
      return value as StructValue<M>;
    },
    encode(writer, value) {
      const start = writer.reserve(size);
      for (const { name, offset, scalar } of fields) {
        const member = (value as Record<string, number | bigint | undefined>)[name];
        if (member === undefined) continue;
        try {
          (scalar as Scalar<number | bigint>).set(writer.view, start + offset, member);
        } catch (error) {
          throw within(name, error);
        }
      }
    },
  };
}

interface Field {
  name: string;
  offset: number;
  scalar: Scalar | Scalar<bigint>;
}

function layOut(members: Members): { fields: Field[]; size: number } {
  const fields: Field[] = [];
  let end = 0;
  let widest = 1;
  for (const [name, scalar] of Object.entries(members)) {
    const offset = roundUp(end, scalar.size);
    fields.push({ name, offset, scalar });
    end = offset + scalar.size;
    widest = Math.max(widest, scalar.size);
  }
  return { fields, size: roundUp(end, widest) };
}

const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

function shapes(members: Members): Record<string, Shape> {
  return Object.fromEntries(Object.entries(members).map(([name, scalar]) => [name, scalar.shape]));
}
