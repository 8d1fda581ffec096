import { expect, test } from 'vitest';
import { Afterwards } from '../../src/cni/afterwards.ts';
import { idle, VirtualClock } from '../kit/virtual-clock.ts';

function scene() {
  const clock = new VirtualClock();
  const afterwards = new Afterwards(clock);
  const done: string[] = [];
  const add = (name: string) =>
    afterwards.add(async () => {
      done.push(name);
    });
  /** Goes on until the answer is called. */
  const busy = () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    return { ends: resolve, ended: afterwards.before(() => promise) };
  };
  return { clock, afterwards, done, add, busy };
}

test('what nobody waits for is done at once when it is quiet', async () => {
  const { done, add } = scene();
  await add('a');
  expect(done).toEqual(['a']);
});

test('else when the last one who waits has what he wants, in its order', async () => {
  const { done, add, busy } = scene();
  const [one, other] = [busy(), busy()];
  const all = Promise.all([add('a'), add('b')]);
  await idle();
  one.ends();
  await one.ended;
  await idle();
  expect(done).toEqual([]);
  other.ends();
  await all;
  expect(done).toEqual(['a', 'b']);
});

test('one after the other, and not into the next burst', async () => {
  const { done, add, busy, afterwards } = scene();
  const { promise, resolve } = Promise.withResolvers<void>();
  void afterwards.add(() => promise);
  void add('b');
  const next = busy();
  resolve();
  await idle();
  expect(done).toEqual([]);
  next.ends();
  await next.ended;
  await idle();
  expect(done).toEqual(['b']);
});

test('after 100 ms in any case', async () => {
  const { clock, done, add, busy } = scene();
  busy();
  void add('a');
  await clock.advance(99);
  expect(done).toEqual([]);
  await clock.advance(1);
  expect(done).toEqual(['a']);
});

test('work that somebody waits for answers and rejects as it does, and ends either way', async () => {
  const { afterwards, done, add } = scene();
  expect(await afterwards.before(() => Promise.resolve(7))).toBe(7);
  await expect(afterwards.before(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  await add('a');
  expect(done).toEqual(['a']);
});

test('once it is closed what waits is done, and what comes still', async () => {
  const { done, add, busy, afterwards } = scene();
  busy();
  const waiting = add('a');
  await idle();
  afterwards.close();
  await waiting;
  expect(done).toEqual(['a']);
  await add('b');
  expect(done).toEqual(['a', 'b']);
});
