import { describe, expect, test } from 'vitest';
import { retry } from '../../src/daemon/retry.ts';
import type { Clock } from '../../src/world/clock.ts';

/** Time passes as fast as somebody waits for it. */
const hurried: Clock = {
  now: () => 0,
  monotonic: () => 0,
  after(_ms, callback) {
    const timer = setImmediate(callback);
    return () => clearImmediate(timer);
  },
};
const random = () => Uint8Array.of(0);
const backOff = { first: 100, longest: 500 };

describe('retry', () => {
  test('answers what succeeds at last, and waits longer and longer', async () => {
    const waits: number[] = [];
    let left = 5;
    const attempt = () => {
      if (left-- > 0) throw new Error('not yet');
      return 'done';
    };
    const failed = (_error: unknown, wait: number) => waits.push(wait);
    expect(
      await retry({ clock: hurried, random }, backOff, attempt, failed, new AbortController().signal),
    ).toBe('done');
    expect(waits).toEqual([100, 200, 400, 500, 500]);
  });

  test('ends when it is told to, in the middle of a wait', async () => {
    const stop = new AbortController();
    const failed = () => void setImmediate(() => stop.abort());
    const never: Clock = { ...hurried, after: () => () => {} };
    const attempt = () => Promise.reject(new Error('never'));
    expect(await retry({ clock: never, random }, backOff, attempt, failed, stop.signal)).toBeUndefined();
  });

  test('does not even begin when it is told to end before', async () => {
    const attempt = () => {
      throw new Error('it began');
    };
    expect(
      await retry({ clock: hurried, random }, backOff, attempt, () => {}, AbortSignal.abort()),
    ).toBeUndefined();
  });
});
