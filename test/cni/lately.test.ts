import { expect, test } from 'vitest';
import { keyOf, Lately, LatelyOf } from '../../src/cni/lately.ts';
import { parseJson } from '../../src/json/go-json.ts';

test('answers what was answered under the same key, and asks anew under another', () => {
  const lately = new Lately<{ n: number }>();
  let asked = 0;
  const answer = () => ({ n: ++asked });
  const first = lately.of('a', answer);
  expect(lately.of('a', answer)).toBe(first);
  expect(lately.of('b', answer)).toEqual({ n: 2 });
});

test('an error is no answer', () => {
  const lately = new Lately<number>();
  const fails = () => {
    throw new Error('not now');
  };
  expect(() => lately.of('a', fails)).toThrow('not now');
  expect(lately.of('a', () => 1)).toBe(1);
});

test('keeps a few, and nothing that is long', () => {
  const lately = new Lately<number>();
  for (let i = 0; i < 17; i++) lately.of(`key ${i}`, () => i);
  expect(lately.of('key 0', () => -1)).toBe(-1);
  expect(lately.of('key 16', () => -1)).toBe(16);
  const long = 'x'.repeat(20_000);
  lately.of(long, () => 1);
  expect(lately.of(long, () => 2)).toBe(2);
});

test('documents that Go reads differently have different keys', () => {
  const keys = ['{"mtu":1450}', '{"mtu":1450.0}', '{"mtu":"1450"}', '{"mtu":1.45e3}'].map((text) =>
    keyOf(parseJson(text, 'it')),
  );
  expect(new Set([keys[0], keys[1], keys[2]]).size).toBe(3);
  expect(keys[3]).toBe(keys[1]);
});

test('of an object and a text the last answer is kept, and none that is an error', () => {
  const lately = new LatelyOf<object, number>();
  const [one, other] = [{}, {}];
  let asked = 0;
  const ask = (object: object, key: string) => lately.of(object, () => ++asked, key);
  expect([ask(one, 'a'), ask(other, 'a'), ask(one, 'a'), ask(one, 'b'), ask(one, 'a')]).toEqual([
    1, 2, 1, 3, 4,
  ]);
  const fails = () => {
    throw new Error('not now');
  };
  expect(() => lately.of(one, fails, 'c')).toThrow('not now');
  expect(ask(one, 'a')).toBe(4);
});
