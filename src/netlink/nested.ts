import { AttributeTable, type AttributesOf, type Fields, type TableOptions } from './attributes.ts';
import { CodecError, within } from './codec-error.ts';
import type { Payload } from './payload.ts';
import type { Struct } from './struct.ts';
import { align } from './writer.ts';

const none: ReadonlySet<string> = new Set();

/**
 * A table inside an attribute. `typeFlags` is NLA_F_NESTED where the kernel's own messages carry it or a
 * strict family insists; the older rtnetlink families write nests without it. Both are read.
 */
export function nested<F extends Fields>(
  fields: F,
  typeFlags = 0,
  options: TableOptions = {},
): Payload<AttributesOf<F>> {
  const table = new AttributeTable(fields, options);
  return {
    typeFlags,
    shape: { kind: 'nested', fields, headerSize: 0 },
    decode(view, start, end) {
      const value: AttributesOf<F> = {};
      table.decode(view, start, end, value);
      return value;
    },
    encode(writer, value) {
      table.encode(writer, value, none);
    },
  };
}

/** A struct and a table behind it, as VETH_INFO_PEER holds a whole link message; both in one flat object. */
export function nestedMessage<H, F extends Fields>(
  header: Struct<H>,
  fields: F,
): Payload<Partial<H> & AttributesOf<F>> {
  const table = new AttributeTable(fields);
  const names = new Set(header.names);
  return {
    shape: { kind: 'nested', fields, header: header.shape, headerSize: align(header.size) },
    decode(view, start, end) {
      const value = header.decode(view, start, end) as Record<string, unknown>;
      table.decode(view, Math.min(start + align(header.size), end), end, value);
      return value as Partial<H> & AttributesOf<F>;
    },
    encode(writer, value) {
      header.encode(writer, value);
      writer.reserve(align(header.size) - header.size);
      table.encode(writer, value, names);
    },
  };
}

/** Attributes whose types only count (the kernel numbers them from `first`), each holding one `item`. */
export function list<T>(item: Payload<T>, first: number, typeFlags = 0): Payload<T[]> {
  const itemFlags = item.typeFlags ?? 0;
  return {
    typeFlags,
    shape: { kind: 'list', item: item.shape },
    decode(view, start, end) {
      const values: T[] = [];
      let offset = start;
      while (end - offset >= 4) {
        const length = view.getUint16(offset, true);
        if (length < 4 || length > end - offset) {
          throw new CodecError(`an attribute of ${length} bytes where ${end - offset} are left`);
        }
        try {
          values.push(item.decode(view, offset + 4, offset + length));
        } catch (error) {
          throw within(`[${values.length}]`, error);
        }
        offset += align(length);
      }
      if (offset < end) throw new CodecError(`${end - offset} bytes left over behind the last item`);
      return values;
    },
    encode(writer, values) {
      for (const [i, value] of values.entries()) {
        const start = writer.startAttribute((first + i) | itemFlags);
        item.encode(writer, value);
        writer.endAttribute(start);
      }
    },
  };
}

/** Structs one behind the other, as in NHA_GROUP. */
export function packed<T>(item: Struct<T>): Payload<T[]> {
  return {
    shape: { kind: 'packed', item: item.shape },
    decode(view, start, end) {
      if ((end - start) % item.size !== 0) {
        throw new CodecError(`a multiple of ${item.size} bytes expected, ${end - start} found`);
      }
      const values: T[] = [];
      for (let at = start; at < end; at += item.size) values.push(item.decode(view, at, at + item.size));
      return values;
    },
    encode(writer, values) {
      for (const value of values) item.encode(writer, value);
    },
  };
}
