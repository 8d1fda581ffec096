import { expect, test } from 'vitest';
import { OwnDocument } from '../../src/lease/own-document.ts';
import type { LeaseSink } from '../../src/lease/registry.ts';
import { silentLog } from '../../src/world/log.ts';
import { VirtualClock } from '../kit/virtual-clock.ts';

const nobody: LeaseSink = { all() {}, changed() {}, gone() {}, stale() {} };

test('a lease that cannot be restored is tried again, and nothing is told before it is known', async () => {
  const clock = new VirtualClock();
  const warnings: string[] = [];
  const outcomes = [new Error('no space'), new Error('no space'), undefined];
  let isSpoilt = true;
  const own = new OwnDocument({
    directory: '/leases',
    node: 'me',
    isSpoilt: () => isSpoilt,
    async restore() {
      const error = outcomes.shift();
      if (error !== undefined) throw error;
      isSpoilt = false;
    },
    sink: nobody,
    clock,
    random: (bytes) => new Uint8Array(bytes),
    log: { ...silentLog, warn: (_fields, message) => void warnings.push(message) },
  });
  const tell = () => own.changed('me', { unreadable: 'it is empty' });
  tell();
  expect(warnings).toEqual([]);
  await clock.advance(1000);
  tell();
  const failed = expect.stringMatching(
    /emptied or overwritten .*\/leases\/me\.json, .* could not be .*: no space/,
  );
  expect(warnings).toEqual([failed]);
  await clock.advance(30_000);
  expect(warnings).toEqual([failed, failed, expect.stringMatching(/is written again.*--node-name/)]);
  await clock.advance(600_000);
  expect(warnings).toHaveLength(3);
});

test('what is spoilt while it is being restored is restored as well; not so after the end', async () => {
  const clock = new VirtualClock();
  let restored = 0;
  const own = new OwnDocument({
    directory: '/leases',
    node: 'me',
    isSpoilt: () => true,
    async restore() {
      restored++;
      own.changed('me', { unreadable: 'it is empty' });
      await Promise.resolve();
    },
    sink: nobody,
    clock,
    random: (bytes) => new Uint8Array(bytes),
    log: silentLog,
  });
  own.all(new Map([['me', { unreadable: 'it is empty' }]]));
  await clock.advance(3000);
  expect(restored).toBe(2);
  own.close();
  await clock.advance(600_000);
  expect(restored).toBe(2);
});

test('however often it is spoilt, it names its subnet again before others take it for nobody’s', async () => {
  const clock = new VirtualClock();
  let since = 0;
  let longest = 0;
  const own = new OwnDocument({
    directory: '/leases',
    node: 'me',
    isSpoilt: () => true,
    async restore() {
      longest = Math.max(longest, clock.monotonic() - since);
      since = clock.monotonic();
    },
    sink: nobody,
    clock,
    random: (bytes) => new Uint8Array(bytes).fill(255),
    log: silentLog,
  });
  own.changed('me', { unreadable: 'it is empty' });
  await clock.advance(3_600_000);
  own.close();
  expect(longest).toBeLessThan(30_000);
});
