import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { KeySpace } from '../../../src/lease/etcd/key-space.ts';
import { type KeySink, KeyWatch } from '../../../src/lease/etcd/key-watch.ts';
import type { KeyValue } from '../../../src/lease/etcd/messages.ts';
import type { EtcdStore } from '../../../src/lease/etcd/store.ts';
import { type Clock, systemClock } from '../../../src/world/clock.ts';
import { systemRandom } from '../../../src/world/random.ts';
import { Etcd, etcdStore } from '../../kit/etcd.ts';
import { until } from '../../daemon/cluster.ts';

const { leases: range } = new KeySpace('/n');
const key = (name: string): string => `${range.key}${name}`;

/** Keeps what it is told, as a registry's user would. */
class Told implements KeySink {
  readonly values = new Map<string, string>();
  lists = 0;
  since: number | undefined;
  why = '';

  all(kvs: readonly KeyValue[]): void {
    this.lists++;
    this.values.clear();
    for (const kv of kvs) this.put(kv);
  }

  put({ key: name, value }: KeyValue): void {
    this.values.set(name.slice(range.key.length), Buffer.from(value).toString('latin1'));
  }

  deleted(name: string): void {
    this.values.delete(name.slice(range.key.length));
  }

  stale(since: number | undefined, why = ''): void {
    this.since = since;
    this.why = why;
  }
}

let etcd: Etcd;
beforeEach(async () => {
  etcd = await Etcd.start();
});
afterEach(() => etcd.stop());

function follow(store: EtcdStore, clock: Clock = systemClock): Told {
  const told = new Told();
  const watch = new KeyWatch({ store, range, sink: told, clock, random: systemRandom });
  watch.start();
  onTestFinished(() => watch.close());
  return told;
}

/** Everything that waits is done at once, a hundredth as late. */
const hurried: Clock = { ...systemClock, after: (ms, call) => systemClock.after(ms / 100, call) };

const compact = async (): Promise<void> => {
  const { revision } = await etcd.store().list(range);
  await etcd.store().gateway.call('/v3/kv/compaction', { revision: `${revision}`, physical: true });
};

describe('following keys', () => {
  test('goes on from where it was after etcd was away, without listing all again', async () => {
    const told = follow(etcd.store());
    await until(() => told.lists === 1);
    await etcd.put(key('a'), '1');
    await until(() => told.values.get('a') === '1');
    await etcd.kill();
    await until(() => told.since !== undefined);
    expect(told.why).toMatch(/127\.0\.0\.1.*nothing listens there/);
    expect(told.values.get('a')).toBe('1');
    await etcd.begin();
    await etcd.put(key('b'), '2');
    await etcd.remove(key('a'));
    await until(() => told.values.has('b') && !told.values.has('a') && told.since === undefined);
    expect(told.lists).toBe(1);
  });

  test('lists all again when what it missed was compacted', async () => {
    const waiting: (() => void)[] = [];
    // It tries again when it is told to.
    const held: Clock = {
      ...systemClock,
      after(ms, call) {
        if (ms <= 5000) waiting.push(call);
        return () => {};
      },
    };
    const told = follow(etcd.store(), held);
    await etcd.put(key('a'), '1');
    await until(() => told.values.get('a') === '1');
    await etcd.kill();
    await until(() => told.since !== undefined);
    await etcd.begin();
    await etcd.put(key('b'), '2');
    await etcd.remove(key('a'));
    await compact();
    expect([...told.values.keys(), told.lists]).toEqual(['a', 1]);
    for (const call of waiting.splice(0)) call();
    await until(() => told.values.has('b') && !told.values.has('a') && told.since === undefined);
    expect(told.lists).toBe(2);
  });

  test('a watch from a compacted revision says so', async () => {
    await etcd.put(key('a'), '1');
    await etcd.put(key('a'), '2');
    await compact();
    const stop = new AbortController();
    const messages = etcd.store().watch(range, 1n, stop.signal);
    expect((await messages.next()).value).toMatchObject({ is: 'created' });
    expect((await messages.next()).value).toMatchObject({ is: 'canceled', compacted: true });
    stop.abort();
  });

  test('lists all again from an etcd that begins anew, with less than there was', async () => {
    const told = follow(etcd.store());
    for (const value of ['1', '2', '3']) await etcd.put(key('a'), value);
    await until(() => told.values.get('a') === '3');
    await etcd.kill();
    etcd.forget();
    await etcd.begin();
    await until(() => told.values.size === 0 && told.lists === 2);
    await etcd.put(key('b'), '1');
    await until(() => told.values.has('b'));
  });

  test('names an etcd that hangs, and goes on when it lives again', async () => {
    const told = follow(etcdStore({ endpoints: [etcd.url], clock: hurried }), hurried);
    await until(() => told.lists === 1);
    etcd.signal('SIGSTOP');
    await until(() => told.since !== undefined);
    expect(told.why).toMatch(/within/);
    etcd.signal('SIGCONT');
    await until(() => told.since === undefined);
    await etcd.put(key('a'), '1');
    await until(() => told.values.has('a'));
  });

  test('lists all again once an hour', async () => {
    const quick: Clock = {
      ...systemClock,
      after: (ms, call) => systemClock.after(ms === 3_600_000 ? 50 : ms, call),
    };
    const told = follow(etcd.store(), quick);
    await etcd.put(key('a'), '1');
    await until(() => told.lists > 2 && told.values.get('a') === '1');
    expect(told.since).toBeUndefined();
  });

  test('of 10,000 keys, whatever they hold, and of values as long as etcd takes', async () => {
    const store = etcd.store();
    for (let at = 0; at < 10_000; at += 100) {
      const changes = Array.from({ length: 100 }, (_, i) => ({
        put: key(`junk-${at + i}`),
        value: '\u0000{[',
        leaseId: '0',
      }));
      await store.transact([], changes);
    }
    for (let i = 0; i < 30; i++) await etcd.put(key(`long-${i}`), 'x'.repeat(1_000_000));
    const told = follow(store);
    await until(() => told.values.size === 10_030, 30_000);
    expect(told.lists).toBe(1);
    await etcd.put(key('a'), '1');
    await until(() => told.values.has('a'));
  });
});
