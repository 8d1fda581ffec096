import { describe, expect, test } from 'vitest';
import {
  asObject,
  foldKeys,
  goJson,
  JsonError,
  kindOf,
  maxDepth,
  parseJson,
} from '../../src/json/go-json.ts';

describe('JSON by Go’s rules', () => {
  test('keys match in any letter case, the last wins, null is absent, unknown keys stay', () => {
    const document = asObject(parseJson('{"NETWORK":1,"network":2,"Backend":null,"x":3}', 'it'), 'it');
    expect(foldKeys(document, ['Network', 'Backend'])).toEqual({ Network: 2, x: 3 });
  });

  test('a key __proto__ is a key', () => {
    const folded = foldKeys(asObject(parseJson('{"__proto__":{"a":1}}', 'it'), 'it'), []);
    expect(Object.keys(folded)).toEqual(['__proto__']);
    expect(({} as { a?: number }).a).toBeUndefined();
  });

  test.each([
    ['', /it is not JSON/],
    ['{"a":1} x', /it is not JSON/],
    [Uint8Array.from([0x22, 0xff, 0x22]), /it is not UTF-8/],
    ['['.repeat(maxDepth + 1) + ']'.repeat(maxDepth + 1), /deeper than 200/],
    [`"${'x'.repeat(5 * 1024 * 1024)}"`, /characters long/],
  ])('refuses what it cannot read, by name', (input, why) => {
    expect(() => parseJson(input, 'it')).toThrow(JsonError);
    expect(() => parseJson(input, 'it')).toThrow(why);
  });

  test('brackets in strings are no depth', () => {
    expect(parseJson(`"${'['.repeat(1000)}\\"${'['.repeat(1000)}"`, 'it')).toHaveLength(2001);
  });

  test.each([
    ['[]', 'an array'],
    ['"x"', 'a string'],
    ['null', 'null'],
  ])('says what %s is instead of an object', (text, what) => {
    expect(() => asObject(parseJson(text, 'it'), 'it')).toThrow(`it must be an object, and is ${what}`);
  });

  test('letters beyond ASCII that fold to ASCII match as in Go, others do not', () => {
    const folded = foldKeys({ ſUBNET: 1, BacKend: 2, İd: 3 }, ['Subnet', 'Backend', 'id']);
    expect(folded).toEqual({ Subnet: 1, Backend: 2, İd: 3 });
  });

  test.each(['1.0', '1e3', '1E+3', '-2.0', '10e-1'])(
    '%s is no integer, and is written out as it is',
    (text) => {
      const [value] = parseJson(`[${text}]`, 'it') as unknown[];
      expect(typeof value).not.toBe('number');
      expect(Number.isInteger(value)).toBe(false);
      expect(JSON.stringify([value])).toBe(`[${Number(text)}]`);
      expect(kindOf(value)).toBe('a number with a fraction or exponent');
      expect(() => asObject(value, 'it')).toThrow('is a number with');
    },
  );

  test('other numbers are numbers, also beside such', () => {
    expect(parseJson('[1,-0,1.5,true,"1.0",12e-1]', 'it')).toEqual([1, -0, 1.5, true, '1.0', 1.2]);
  });

  test('a number that is too large is refused', () => {
    expect(() => parseJson('{"MTU":1e999}', 'it')).toThrow('it: the number 1e999 is out of range');
  });

  test('is written with the escapes of Go’s encoder', () => {
    expect(goJson({ '<a>': '&\u2028\u2029\u202a"' })).toBe(
      String.raw`{"\u003ca\u003e":"\u0026\u2028\u2029${'\u202a'}\""}`,
    );
    expect(goJson([1, { a: 2 }], (key, value) => (key === 'a' ? 3 : value))).toBe('[1,{"a":3}]');
    expect(goJson(undefined)).toBe('null');
  });

  test('ten megabytes are refused before they are read', () => {
    const bytes = new Uint8Array(10 * 1024 * 1024).fill(0xff);
    expect(() => parseJson(bytes, 'standard input')).toThrow(
      'standard input is 10485760 bytes long; 4194304 are allowed',
    );
  });
});
