import { expect, test } from 'vitest';
import { Afterwards } from '../../src/cni/launcher/afterwards.ts';
import { idle, VirtualClock } from '../kit/virtual-clock.ts';

function scene() {
  const clock = new VirtualClock();
  let others = 0;
  const afterwards = new Afterwards(clock, () => others === 0);
  const done: string[] = [];
  const add = (name: string) =>
    afterwards.add(async () => {
      done.push(name);
    });
  /** Somebody waits, until the answer is called. */
  const busy = () => {
    others++;
    return () => {
      others--;
      afterwards.look();
    };
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
  const [oneEnds, otherEnds] = [busy(), busy()];
  const all = Promise.all([add('a'), add('b')]);
  await idle();
  oneEnds();
  await idle();
  expect(done).toEqual([]);
  otherEnds();
  await all;
  expect(done).toEqual(['a', 'b']);
});

test('one after the other, and not into the next burst', async () => {
  const { done, add, busy, afterwards } = scene();
  const { promise, resolve } = Promise.withResolvers<void>();
  void afterwards.add(() => promise);
  void add('b');
  const nextEnds = busy();
  resolve();
  await idle();
  expect(done).toEqual([]);
  nextEnds();
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
