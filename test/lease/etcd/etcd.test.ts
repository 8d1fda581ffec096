import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { EtcdRegistry } from '../../../src/lease/etcd/etcd.ts';
import { KeySpace } from '../../../src/lease/etcd/key-space.ts';
import { leaseValue } from '../../../src/lease/etcd/lease-value.ts';
import type { KeyValue, WatchMessage } from '../../../src/lease/etcd/messages.ts';
import type { Change, Comparison, EtcdStore, Listing } from '../../../src/lease/etcd/store.ts';
import { LeaseBook } from '../../../src/lease/judge.ts';
import type { Lease } from '../../../src/lease/lease.ts';
import type { LeaseSink } from '../../../src/lease/registry.ts';
import { address } from '../../../src/net/address.ts';
import { silentLog } from '../../../src/world/log.ts';
import { idle, VirtualClock } from '../../kit/virtual-clock.ts';
import { acquire, Seen, suiteNetwork, wish } from '../registry-suite.ts';

/** An etcd that tells the watch first, and answers the one who has written when the test says so. */
class StagedStore {
  readonly gateway = { name: 'etcd', endpoint: 'http://127.0.0.1:2379' };
  readonly kvs = new Map<string, KeyValue>();
  answer: Promise<void> = Promise.resolve();
  revoked: Promise<void> = Promise.resolve();
  #revision = 1n;
  #granted = 0;
  #tell: (message: WatchMessage) => void = () => {};

  async list(): Promise<Listing> {
    await new Promise(setImmediate);
    return { kvs: [...this.kvs.values()], revision: this.#revision };
  }

  put(key: string, value: string, leaseId: string): void {
    const modRevision = ++this.#revision;
    const createRevision = this.kvs.get(key)?.createRevision ?? modRevision;
    const put = { key, value: Buffer.from(value), createRevision, modRevision, leaseId };
    this.kvs.set(key, put);
    this.#tell({ is: 'events', revision: modRevision, events: [{ revision: modRevision, put }] });
  }

  remove(key: string): void {
    this.kvs.delete(key);
    const revision = ++this.#revision;
    this.#tell({ is: 'events', revision, events: [{ revision, deleted: key }] });
  }

  async transact(
    comparisons: readonly Comparison[],
    changes: readonly Change[],
  ): Promise<bigint | undefined> {
    const holds = comparisons.every(
      (each) => !('key' in each) || this.kvs.get(each.key)?.modRevision === each.modRevision,
    );
    if (!holds) return undefined;
    for (const change of changes) if ('put' in change) this.put(change.put, change.value, change.leaseId);
    const revision = this.#revision;
    await this.answer;
    return revision;
  }

  grant(): Promise<string> {
    return Promise.resolve(`${++this.#granted}`);
  }

  keepAlive(): Promise<number> {
    return Promise.resolve(86_400);
  }

  revoke(): Promise<void> {
    return this.revoked;
  }

  answers(): Promise<void> {
    return Promise.resolve();
  }

  async *watch(_: unknown, from: bigint, signal: AbortSignal): AsyncGenerator<WatchMessage> {
    yield { is: 'created', revision: from };
    while (!signal.aborted) {
      yield await new Promise<WatchMessage>((resolve, reject) => {
        this.#tell = resolve;
        signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
      });
    }
  }
}

const keys = new KeySpace('/coreos.com/network');
const ranges = {
  ipv4: { length: 24, min: address('10.244.1.0'), max: address('10.244.255.0') },
  ipv6: { length: 64, min: address('fd00:244:0:1::'), max: address('fd00:244:0:ff::') },
};
const ofHost = (host: number): string => leaseValue(wish(host).attributes);

/** What a node makes of what it is told: who is a peer. */
class Node {
  readonly #book: LeaseBook;

  constructor(own: Lease) {
    this.#book = new LeaseBook(suiteNetwork, own);
  }

  get peers(): string[] {
    return [...this.#book.peers.keys()];
  }

  get refused(): string[] {
    return this.#book.refusals.map(({ id }) => id);
  }

  async takes(asked: Promise<Lease>): Promise<void> {
    this.#book.setOwn(await asked);
  }

  readonly sink: LeaseSink = {
    all: (entries) => void this.#book.all(entries),
    changed: (id, entry) => void this.#book.changed(id, entry),
    gone: (id) => void this.#book.gone(id),
    stale: () => {},
  };
}

describe('a lease that is asked for anew', () => {
  const clock = new VirtualClock();
  let store: StagedStore;
  let own: Lease;
  let registry: EtcdRegistry;
  let key: string;
  let warnings: string[];
  let seen: Seen;
  const stored = () => Buffer.from(store.kvs.get(key)?.value ?? []).toString();

  function open(): EtcdRegistry {
    const opened = new EtcdRegistry({
      store: store as unknown as EtcdStore,
      keys,
      ranges,
      renewMargin: 60,
      clock,
      random: (bytes) => new Uint8Array(bytes),
      log: { ...silentLog, warn: (_: object, message: string) => void warnings.push(message) },
    });
    onTestFinished(() => opened.close());
    return opened;
  }

  function watch(opened: EtcdRegistry, sink: LeaseSink): Promise<void> {
    onTestFinished(opened.watch(sink));
    return idle();
  }

  /** Asks for the lease of another host's address, which etcd writes and does not answer yet. */
  async function begin(host: number): Promise<() => Promise<void>> {
    const answer = Promise.withResolvers<void>();
    store.answer = answer.promise;
    const lease = acquire(registry, host);
    await idle();
    expect(stored()).toBe(ofHost(host));
    return async () => {
      answer.resolve();
      await lease;
      await idle();
    };
  }

  beforeEach(async () => {
    store = new StagedStore();
    warnings = [];
    registry = open();
    own = await acquire(registry, 1);
    key = keys.keyOf(own.id);
    seen = new Seen();
    await watch(registry, seen);
  });

  test('is not overwritten by others when the watch is quicker than the answer', async () => {
    const end = await begin(2);
    await end();
    await clock.advance(60_000);
    expect(warnings).toEqual([]);
    expect(store.kvs.get(key)).toMatchObject({ leaseId: '2' });
  });

  test('is this node’s own also where it was gone before', async () => {
    store.remove(key);
    await idle();
    const end = await begin(2);
    expect(seen.calls.at(-1)).toBe(`changed ${keys.idOf(key)}`);
    await end();
  });

  test('stays the new one when what somebody overwrote before is due to be written again', async () => {
    store.put(key, ofHost(66), '66');
    await idle();
    expect(warnings).toEqual([expect.stringContaining('somebody has overwritten the lease')]);
    const end = await begin(2);
    await clock.advance(2000);
    await end();
    expect(stored()).toBe(ofHost(2));
    // That was written after it.
    expect(store.kvs.get(key)).toMatchObject({ leaseId: '3' });
    expect(warnings).toHaveLength(1);
  });

  test('stays the new one when its renewal is due', async () => {
    await clock.advance(22.9 * 3_600_000);
    const end = await begin(2);
    await clock.advance(3_600_000);
    await end();
    expect(stored()).toBe(ofHost(2));
  });

  test('is no peer while it moves to another subnet, also with another address', async () => {
    const node = new Node(own);
    await watch(registry, node.sink);
    store.remove(key);
    await idle();
    store.put(key, ofHost(66), '66');
    await idle();
    const answer = Promise.withResolvers<void>();
    store.answer = answer.promise;
    store.revoked = new Promise(() => {});
    const taken = node.takes(acquire(registry, 2));
    await idle();
    expect(store.kvs.size).toBe(2);
    expect(node.peers).toEqual([]);
    answer.resolve();
    // What the old one hung on is given up meanwhile, and nobody waits for that.
    await taken;
    await idle();
    expect(node.peers).toEqual([own.id]);
    expect(node.refused).toEqual([]);
  });

  test('leaves the subnet that a node had before etcd answered to whoever has it', async () => {
    const restarted = new Node({ ...own, attributes: wish(2).attributes });
    const late = open();
    await watch(late, restarted.sink);
    expect(restarted.peers).toEqual([]);
    await restarted.takes(acquire(late, 2, own.subnet));
    await idle();
    expect(restarted.peers).toEqual([own.id]);
  });

  test('moves with its node’s knowledge alone, also where the watch hung while it was renewed', async () => {
    await clock.advance(22.9 * 3_600_000);
    // It has ended, and another node has the subnet: nothing of that was told.
    const value = Buffer.from(ofHost(66));
    store.kvs.set(key, { key, value, createRevision: 9n, modRevision: 9n, leaseId: '66' });
    await clock.advance(3_600_000);
    expect(store.kvs.size).toBe(2);
    expect(seen.entries.size).toBe(0);
    const { id } = await acquire(registry, 1);
    await idle();
    expect([...seen.entries.keys()]).toEqual([own.id, id]);
  });
});
