import { describe, expect, test } from 'vitest';
import { asObject, foldKeys, JsonError, maxDepth, parseJson } from '../../src/json/go-json.ts';

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
});
