import { expect, test } from 'vitest';
import { BackOff } from '../../src/http/back-off.ts';

const always = (byte: number) => () => Uint8Array.of(byte);

test('waits twice as long each time, up to a limit, and begins again after a success', () => {
  const backOff = new BackOff({ first: 100, longest: 500 }, always(0));
  expect([1, 2, 3, 4, 5].map(() => backOff.next())).toEqual([100, 200, 400, 500, 500]);
  backOff.reset();
  expect(backOff.next()).toBe(100);
});

test('takes a random part off, less than a half', () => {
  const backOff = new BackOff({ first: 1024, longest: 1024 }, always(255));
  expect(backOff.next()).toBe(514);
  expect(new BackOff({ first: 1024, longest: 1024 }, always(128)).next()).toBe(768);
});
