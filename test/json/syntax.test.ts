import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseJson } from '../../src/json/go-json.ts';
import { explainSyntax } from '../../src/json/syntax.ts';

describe('a syntax error', () => {
  test.each([
    ['', 'line 1, column 1: expected a value, found the end of the text'],
    ['{"a":1,}', 'line 1, column 8: expected a key in quotes, found "}"'],
    ['{\n "a":1\n "b":2}', 'line 3, column 2: expected "," or "}", found a string'],
    ['{"a": h}', 'line 1, column 7: expected a value, found "h"'],
    ['{"a":"b', 'line 1, column 6: expected a value, found a string that is not closed or not valid'],
    ['{"a\\x":1}', 'line 1, column 2: expected a key in quotes or "}", found a string that is not closed'],
    ['{"a" 1}', 'line 1, column 6: expected ":", found a number'],
    ['[01]', 'line 1, column 2: expected a value or "]", found a number that is not valid'],
    ['[1,]', 'line 1, column 4: expected a value, found "]"'],
    ['{"a":1}}', 'line 1, column 8: expected the end, found "}"'],
    ['[1}', 'line 1, column 3: expected "," or "]", found "}"'],
    ['\uFEFF{}', 'line 1, column 1: expected a value, found a byte order mark (save the file without it)'],
    ['[1,\u00a0]', 'line 1, column 4: expected a value, found U+00A0'],
  ])('of %j is told with its place', (text, why) => {
    expect(explainSyntax(text)).toContain(why);
  });

  test('is found in every text that JSON.parse refuses, where it refuses it, and nothing of the text is quoted', () => {
    const json = fc.json({ maxDepth: 3 });
    const broken = fc
      .tuple(json, fc.nat(), fc.constantFrom('', '}', ',', '"', ' x', '1', '\u0001', ':'))
      .map(([text, at, put]) => {
        const cut = at % (text.length + 1);
        return text.slice(0, cut) + put + text.slice(cut + 1);
      });
    fc.assert(
      fc.property(broken, (text) => {
        let message = '';
        try {
          JSON.parse(text);
          return;
        } catch (error) {
          ({ message } = error as Error);
        }
        const place = /at position (\d+) \(line/.exec(message)?.[1];
        const [, line, column] = /^line (\d+), column (\d+): expected /.exec(explainSyntax(text)) ?? [];
        expect(line).toBe('1');
        // V8 looks into a word or a string; here they are whole.
        if (place === undefined || /string|escape|control/i.test(message)) return;
        expect(text.slice(Number(column) - 1, Number(place))).toMatch(/^[\w.+-]*$/);
        expect(Number(column) - 1).toBeLessThanOrEqual(Number(place));
      }),
      { numRuns: 1500 },
    );
    expect(() => parseJson('{"PSK":"c2VjcmV0" x', 'net-conf.json')).not.toThrow(/c2V/);
  });
});
