import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Each, JsonSkim, type JsonSkimOptions, type Wanted } from '../../src/json/skim.ts';
import { SkimError } from '../../src/json/skim-error.ts';

describe('skimming', () => {
  test('keeps what is wanted and leaves out the rest', () => {
    const wanted: Wanted = {
      metadata: { name: true, annotations: (key: string) => key.startsWith('x/') },
      spec: { a: true },
    };
    const document = {
      kind: 'Node',
      metadata: { name: 'a', labels: { name: 'b' }, annotations: { 'x/1': '{"}', 'y/2': '"', 'x/3': '' } },
      status: [{ metadata: { name: 'c' } }],
      spec: { b: 1, a: [1, { a: 2 }] },
    };
    expect(documents(JSON.stringify(document, undefined, 1), wanted)).toEqual([
      { metadata: { name: 'a', annotations: { 'x/1': '{"}', 'x/3': '' } }, spec: { a: [1, { a: 2 }] } },
    ]);
  });

  test('hands on the elements of an array, and an empty one in their place', () => {
    const elements: unknown[] = [];
    const each = new Each({ a: true }, (text) => void elements.push(JSON.parse(text)));
    const text = '{"items" : [ {"a":1,"b":2}, null, "x,]", {} , [3] ],"metadata":{"continue":"c"}}';
    expect(documents(text, { items: each, metadata: true })).toEqual([
      { items: [], metadata: { continue: 'c' } },
    ]);
    expect(elements).toEqual([{ a: 1 }, null, 'x,]', {}, [3]]);
  });

  test('takes one document after the other, as a watch sends them', () => {
    expect(documents('{"a":1}\n{"a":2}{"a":3}  ', true)).toEqual([{ a: 1 }, { a: 2 }, { a: 3 }]);
  });

  test('keeps what is not of the kind that was expected', () => {
    const wanted: Wanted = { metadata: { name: true }, items: new Each(true, () => {}) };
    const text = '{"metadata":"x","items":{"a":1}}';
    expect(documents(text, wanted)).toEqual([{ metadata: 'x', items: { a: 1 } }]);
  });

  test('knows a key by its meaning, not its spelling', () => {
    expect(documents('{"\\u006eame":1,"__proto__":2}', { name: true })).toEqual([{ name: 1 }]);
  });

  test.each([
    ['x', 'it is no JSON object'],
    ['[1]', 'it is no JSON object'],
    ['{1:2}', 'a key is missing'],
    ['{"a",}', 'a colon is missing'],
    ['{"b":}', 'a value is missing'],
    ['{"b":1 2}', 'a comma is missing'],
    ['{"a":1', 'the answer ends in the middle'],
    ['{"b":"', 'the answer ends in the middle'],
    ['{"\\x":1}', 'a key is no string'],
    [`{"b":${'['.repeat(201)}`, 'it is nested deeper than 200 levels'],
    [`{"a":"${'x'.repeat(1000)}"}`, 'a part of it is longer than 1000 bytes'],
    [`{"${'x'.repeat(1000)}":1}`, 'a part of it is longer than 1000 bytes'],
  ])('refuses %.20s', (text, why) => {
    expect(() => documents(text, { a: true })).toThrow(new SkimError(why));
  });

  test('what is left out may be long', () => {
    expect(documents(`{"b":"${'x'.repeat(5000)}","a":1}`, { a: true })).toEqual([{ a: 1 }]);
  });

  test('finds in any document, cut anywhere, what JSON.parse finds there', () => {
    // Not a lone backslash: V8 14.6's JSON.parse, having seen one, takes the key "\\"" for it at the same place.
    const key = fc.constantFrom('a', 'b', 'c', '"', 'é', '\n', '__proto__');
    const value = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.string(),
        fc.double({ noNaN: true }),
        fc.constant(null),
        tie('array'),
        tie('object'),
      ),
      array: fc.array(tie('value'), { maxLength: 3 }),
      object: fc.dictionary(key, tie('value'), { maxKeys: 4 }),
    }));
    const wanted = { a: { b: true, c: { a: true } }, b: true, '"': { '\n': true } } as const;
    const cuts = fc.array(fc.nat(), { maxLength: 8 });
    fc.assert(
      fc.property(fc.array(value.object, { maxLength: 3 }), cuts, fc.nat(2), (objects, at, indent) => {
        const text = objects.map((object) => JSON.stringify(object, undefined, indent)).join('\n');
        // As text: an own key "__proto__" is like any other there.
        expect(JSON.stringify(documents(text, wanted, at))).toBe(
          JSON.stringify(objects.map((object) => selected(object, wanted))),
        );
      }),
      { numRuns: 300 },
    );
  });

  test('never throws anything else, whatever comes', () => {
    const token = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '\\',
      'a',
      '"a"',
      '1',
      ' ',
      'null',
      '\u0000',
    );
    fc.assert(
      fc.property(
        fc.array(token, { maxLength: 30 }),
        fc.array(fc.nat(), { maxLength: 4 }),
        (tokens, cuts) => {
          try {
            const each = new Each(true, () => {});
            skim(tokens.join(''), { wanted: { a: { a: each } }, longest: 100, onDocument: () => {} }, cuts);
          } catch (error) {
            expect(error).toBeInstanceOf(SkimError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

function documents(text: string, wanted: Wanted, cuts: readonly number[] = []): unknown[] {
  const found: unknown[] = [];
  skim(
    text,
    { wanted, longest: 1000, onDocument: (document) => void found.push(JSON.parse(document)) },
    cuts,
  );
  return found;
}

function skim(text: string, options: JsonSkimOptions, cuts: readonly number[]): void {
  const bytes = Buffer.from(text);
  const at = cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b);
  const taker = new JsonSkim(options);
  [0, ...at].forEach((from, index) => taker.take(bytes.subarray(from, at[index] ?? bytes.length)));
  taker.end();
}

/** The same by the whole document. */
function selected(value: unknown, wanted: Wanted): unknown {
  if (wanted === true || typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const members = wanted as Readonly<Record<string, Wanted>>;
  const kept = Object.entries(value).flatMap(([key, member]) =>
    Object.hasOwn(members, key) ? [[key, selected(member, members[key] as Wanted)] as const] : [],
  );
  return Object.fromEntries(kept);
}
