import { expect, test } from 'vitest';
import { type Outcome, type Run, withLimit } from '../../src/firewall/process.ts';
import type { Clock } from '../../src/world/clock.ts';
import { idle, VirtualClock } from '../kit/virtual-clock.ts';

test('a program that does not end is waited for no longer than the limit', async () => {
  const clock = new VirtualClock();
  const hanging: Run = () => new Promise(() => {});
  const outcomes: Outcome[] = [];
  void withLimit(hanging, clock, 10_000)('modprobe', []).then((outcome) => outcomes.push(outcome));
  await clock.advance(9_999);
  expect(outcomes).toEqual([]);
  await clock.advance(1);
  await idle();
  expect(outcomes).toEqual([{ code: -1, stdout: '', stderr: 'no end after 10 s' }]);
});

test('one that ends is answered at once, and the limit forgotten', async () => {
  const cancelled: number[] = [];
  const after: Clock['after'] = (ms) => () => void cancelled.push(ms);
  const run: Run = (program, args, stdin) =>
    Promise.resolve({ code: 0, stdout: [program, ...args, stdin].join(' '), stderr: '' });
  const limited = withLimit(run, { now: () => 0, monotonic: () => 0, after }, 10_000);
  expect((await limited('cat', ['-'], 'in')).stdout).toBe('cat - in');
  expect(cancelled).toEqual([10_000]);
});
