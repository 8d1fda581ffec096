import fc from 'fast-check';
import { addressFromBytes } from '../../src/net/address.ts';
import { macFromBytes } from '../../src/net/mac.ts';
import type { Choice, Field, Fields } from '../../src/netlink/attributes.ts';
import type { Payload, Shape } from '../../src/netlink/payload.ts';

/** Values for tables, made up from what the tables say about themselves. */

/** Any value that a message codec or payload of this shape can write and read back as it was. */
export function arbitraryOf(shape: Shape): fc.Arbitrary<unknown> {
  switch (shape.kind) {
    case 'integer':
      return fc.integer({ min: shape.min, max: shape.max });
    case 'u64':
      return fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    case 'string':
      return fc.string({ unit: 'binary', maxLength: 20 }).filter((text) => !text.includes('\0'));
    case 'flag':
      return fc.constant(true);
    case 'binary':
      return bytes(0, 24);
    case 'address':
      return fc.oneof(bytes(4, 4), bytes(16, 16)).map(wireAddress);
    case 'mac':
      return fc.oneof(bytes(6, 6).map(macFromBytes), bytes(0, 5), bytes(7, 20));
    case 'struct':
      return fc.record(mapValues(shape.fields, arbitraryOf));
    case 'list':
    case 'packed':
      return fc.array(arbitraryOf(shape.item), { maxLength: 4 });
    case 'nested': {
      const header = shape.header === undefined ? fc.constant({}) : arbitraryOf(shape.header);
      return header.chain((fields) =>
        attributesOf(shape.fields, fields as object).map((attributes) => ({
          ...(fields as object),
          ...attributes,
        })),
      );
    }
    default:
      return shape satisfies never;
  }
}

/** Every attribute that is not chosen by a sibling, and some unknown ones; then those that are chosen. */
function attributesOf(fields: Fields, header: object): fc.Arbitrary<object> {
  const plain = Object.entries(fields).filter(([, [, field]]) => !('choose' in field));
  const choices = Object.entries(fields).filter(([, [, field]]) => 'choose' in field);
  const types = new Set(Object.values(fields).map(([type]) => type));
  const unknown = fc.record({
    type: fc.integer({ min: 0, max: 0x3fff }).filter((type) => !types.has(type)),
    bytes: bytes(0, 12),
  });
  const some = fc.record(
    {
      ...Object.fromEntries(plain.map(([name, [, field]]) => [name, plainField(field)])),
      unknown: fc.array(unknown, { minLength: 1, maxLength: 3 }),
    },
    { requiredKeys: [] },
  );
  return choices.reduce<fc.Arbitrary<object>>(
    (before, [name, [, field]]) =>
      before.chain((value) => chosenField(name, field as Choice<unknown>, value, header)),
    some,
  );
}

function plainField(field: Field): fc.Arbitrary<unknown> {
  if ('each' in field) return fc.array(arbitraryOf(field.each.shape), { minLength: 1, maxLength: 3 });
  return arbitraryOf((field as Payload<unknown>).shape);
}

function chosenField(
  name: string,
  choice: Choice<unknown>,
  value: object,
  header: object,
): fc.Arbitrary<object> {
  // The deciding value is the header's, or an attribute that is put in front.
  if (choice.sibling in header) {
    const payload = choice.choose({ ...header, ...value });
    if (payload === undefined) return fc.constant(value);
    return fc
      .option(arbitraryOf(payload.shape), { nil: undefined })
      .map((data) => withData(value, name, data));
  }
  return fc
    .constantFrom(...Object.keys(choice.choices))
    .chain((decided) =>
      fc
        .option(arbitraryOf(choice.choices[decided]?.shape ?? { kind: 'binary' }), { nil: undefined })
        .map((data) =>
          withData({ [choice.sibling]: decided, ...value, ...override(choice, decided) }, name, data),
        ),
    );
}

const override = (choice: Choice<unknown>, decided: string) => ({ [choice.sibling]: decided });

const withData = (value: object, name: string, data: unknown): object =>
  data === undefined ? value : { ...value, [name]: data };

/** As the codec reads one: a mapped address in 16 bytes stays IPv6. */
function wireAddress(raw: Uint8Array): unknown {
  const text = addressFromBytes(raw);
  return raw.length === 16 && !text.includes(':') ? `::ffff:${text}` : text;
}

const bytes = (minLength: number, maxLength: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength, maxLength });

function mapValues<A, B>(record: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}
