import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { EtcdRegistry, type EtcdRegistryOptions } from '../../../src/lease/etcd/etcd.ts';
import { KeySpace } from '../../../src/lease/etcd/key-space.ts';
import { leaseValue } from '../../../src/lease/etcd/lease-value.ts';
import type { KeyValue } from '../../../src/lease/etcd/messages.ts';
import { address } from '../../../src/net/address.ts';
import { prefix } from '../../../src/net/prefix.ts';
import { type Clock, systemClock } from '../../../src/world/clock.ts';
import { silentLog } from '../../../src/world/log.ts';
import { systemRandom } from '../../../src/world/random.ts';
import { Etcd } from '../../kit/etcd.ts';
import {
  acquire,
  allocationSuite,
  type RegistryKit,
  registrySuite,
  Seen,
  suiteNetwork,
  wish,
} from '../registry-suite.ts';

const root = path.resolve(import.meta.dirname, '../../..');

const ranges = {
  ipv4: { length: 24, min: address('10.244.1.0'), max: address('10.244.255.0') },
  ipv6: { length: 64, min: address('fd00:244:0:1::'), max: address('fd00:244:0:ff::') },
};
const keys = new KeySpace('/coreos.com/network');

function registry(etcd: Etcd, options: Partial<EtcdRegistryOptions> = {}): EtcdRegistry {
  const made = new EtcdRegistry({
    store: etcd.store(),
    keys,
    ranges,
    renewMargin: 60,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    ...options,
  });
  onTestFinished(() => made.close());
  return made;
}

async function startEtcd(): Promise<Etcd> {
  const etcd = await Etcd.start();
  onTestFinished(() => etcd.stop());
  return etcd;
}

async function kit(): Promise<RegistryKit> {
  const etcd = await startEtcd();
  return {
    node: () => registry(etcd),
    async spoil() {
      await etcd.put(keys.keyOf('10.244.9.0-24'), '{"PublicIP":');
      return '10.244.9.0-24';
    },
    remove: (id) => etcd.remove(keys.keyOf(id)),
    away: () => etcd.kill(),
    back: () => etcd.begin(),
  };
}

describe('etcd', () => {
  registrySuite(kit);
  allocationSuite(kit);
});

const ofHost = (host: number): string => leaseValue(wish(host).attributes);

describe('a lease in etcd', () => {
  let etcd: Etcd;
  beforeEach(async () => {
    etcd = await Etcd.start();
  });
  afterEach(() => etcd.stop());

  const stored = async (): Promise<readonly KeyValue[]> => (await etcd.store().list(keys.leases)).kvs;
  const one = async (): Promise<KeyValue> => {
    const [kv, ...others] = await stored();
    if (kv === undefined || others.length > 0) throw new Error(`there are ${others.length + 1} leases`);
    return kv;
  };

  test('is what Go flannel reads, and hangs on an etcd lease of a day', async () => {
    const lease = await acquire(registry(etcd), 1);
    const kv = await one();
    expect(lease.id).toMatch(/^10\.244\.\d+\.0-24&fd00:244:0:[0-9a-f]+::-64$/);
    expect(kv.key).toBe(`/coreos.com/network/subnets/${lease.id}`);
    expect(Buffer.from(kv.value).toString()).toBe(
      '{"PublicIP":"192.0.2.1","PublicIPv6":"2001:db8::1","BackendType":"vxlan",' +
        '"BackendData":{"VNI":1,"VtepMAC":"12:c6:65:89:b4:e3"},"BackendV6Data":{"VNI":1,"VtepMAC":"12:c6:65:89:b4:e4"}}',
    );
    expect(await etcd.store().keepAlive(kv.leaseId)).toBe(86_400);
  });

  test('is found again by the node’s address after a restart, with what it told', async () => {
    const first = await acquire(registry(etcd), 1);
    const again = registry(etcd);
    expect(await again.own(wish(1))).toEqual(first);
    expect(await acquire(again, 1)).toEqual(first);
    expect(await stored()).toHaveLength(1);
  });

  test('that takes the place of another one is told after that one is gone: they are not two nodes', async () => {
    const before = await acquire(registry(etcd), 1);
    const seen = new Seen();
    onTestFinished(registry(etcd).watch(seen));
    await seen.until(() => seen.lease(before.id) !== undefined);
    const now = await acquire(registry(etcd), 1, prefix('10.244.77.0/24'));
    await seen.until(() => seen.lease(now.id) !== undefined);
    expect(seen.calls).toEqual(['all', `gone ${before.id}`, `changed ${now.id}`]);
  });

  test('costs a start one reading of all leases, and misses nothing that happens meanwhile', async () => {
    const store = etcd.store();
    const lists = vi.spyOn(store, 'list');
    await acquire(registry(etcd), 2);
    const node = registry(etcd, { store });
    await node.own(wish(1));
    const third = await acquire(registry(etcd), 3);
    const { id } = await acquire(node, 1);
    const fourth = await acquire(registry(etcd), 4);
    const seen = new Seen();
    onTestFinished(node.watch(seen));
    await seen.until(() => seen.entries.has(fourth.id));
    expect([...seen.entries.keys()].toSorted()).toEqual((await stored()).map(({ key }) => keys.idOf(key)));
    expect([...seen.entries.keys()]).toEqual(expect.arrayContaining([id, third.id]));
    // In dual stack the third one made it look again; all else was known.
    expect(lists).toHaveBeenCalledTimes(2);
  });

  test('stays a reservation', async () => {
    await etcd.put(keys.keyOf('10.244.9.0-24&fd00:244:0:9::-64'), ofHost(1));
    const node = registry(etcd);
    expect((await acquire(node, 1)).subnet).toBe('10.244.9.0/24');
    await acquire(node, 1);
    expect((await one()).leaseId).toBe('0');
  });

  test('which somebody deletes is given anew, the same', async () => {
    const node = registry(etcd);
    const first = await acquire(node, 1);
    await etcd.remove(keys.keyOf(first.id));
    const { subnet, ipv6Subnet } = first;
    const previous = { ...(subnet && { subnet }), ...(ipv6Subnet && { ipv6Subnet }) };
    expect(await node.acquire({ ...wish(1), previous })).toEqual(first);
  });

  test('which somebody overwrites is written again', async () => {
    const node = registry(etcd);
    const first = await acquire(node, 1);
    const seen = new Seen();
    onTestFinished(node.watch(seen));
    await seen.until(() => seen.entries.has(first.id));
    await etcd.put(keys.keyOf(first.id), ofHost(66));
    await vi.waitFor(async () => expect(Buffer.from((await one()).value).toString()).toBe(ofHost(1)), {
      timeout: 5000,
    });
    expect(seen.entries.has(first.id)).toBe(true);
  });

  test('which somebody overwrites is written again also where it is a reservation and the first try fails', async () => {
    const hurried: Clock = { ...systemClock, after: (ms, call) => systemClock.after(ms / 1000, call) };
    const key = keys.keyOf('10.244.9.0-24&fd00:244:0:9::-64');
    await etcd.put(key, ofHost(1));
    const store = etcd.store();
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (_: object, message: string) => void warnings.push(message) };
    const node = registry(etcd, { clock: hurried, store, log });
    const { id } = await acquire(node, 1);
    const seen = new Seen();
    onTestFinished(node.watch(seen));
    await seen.until(() => seen.entries.has(id));
    vi.spyOn(store, 'list').mockRejectedValueOnce(new Error('nobody answers'));
    await etcd.put(key, ofHost(66));
    await vi.waitFor(async () => expect(Buffer.from((await one()).value).toString()).toBe(ofHost(1)), {
      timeout: 5000,
    });
    expect(warnings).toEqual([
      expect.stringContaining('somebody has overwritten the lease'),
      'the lease of this node could not be written again; next try in a minute: nobody answers',
    ]);
  });

  test('whose subnet another node got meanwhile is gone, and the other node is a peer', async () => {
    const node = registry(etcd);
    const first = await acquire(node, 1);
    const seen = new Seen();
    onTestFinished(node.watch(seen));
    await seen.until(() => seen.entries.has(first.id));
    await etcd.remove(keys.keyOf(first.id));
    await etcd.put(keys.keyOf(first.id), ofHost(66));
    await seen.until(() => !seen.entries.has(first.id));
    const { subnet } = first;
    const second = await node.acquire({ ...wish(1), previous: subnet ? { subnet } : {} });
    expect(second.subnet).not.toBe(subnet);
    await seen.until(() => seen.lease(first.id)?.attributes.publicIP === '192.0.2.66');
    await seen.until(() => seen.entries.has(second.id));
  });

  test('is renewed before it ends, and written anew when it has ended', async () => {
    // 23 hours pass in 50 ms.
    const hurried: Clock = { ...systemClock, after: (ms, call) => systemClock.after(ms / 1_656_000, call) };
    const store = etcd.store();
    const renewals = vi.spyOn(store, 'keepAlive');
    const lease = await acquire(registry(etcd, { clock: hurried, store }), 1);
    const kv = await one();
    await vi.waitFor(() => expect(renewals.mock.calls.length).toBeGreaterThan(1));
    expect(renewals).toHaveBeenCalledWith(kv.leaseId);
    // Peers have heard nothing of it.
    expect(await one()).toEqual(kv);
    await store.revoke(kv.leaseId);
    await vi.waitFor(async () => expect((await one()).key).toBe(keys.keyOf(lease.id)), { timeout: 5000 });
  });

  test('whose renewal fails is renewed soon after, and the failure is told', async () => {
    const hurried: Clock = { ...systemClock, after: (ms, call) => systemClock.after(ms / 100_000, call) };
    const store = etcd.store();
    const renewals = vi.spyOn(store, 'keepAlive');
    renewals.mockRejectedValueOnce(new Error('nobody answers'));
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (_: object, message: string) => void warnings.push(message) };
    await acquire(registry(etcd, { clock: hurried, store, log }), 1);
    const kv = await one();
    await vi.waitFor(() => expect(renewals.mock.calls.length).toBeGreaterThan(1), { timeout: 5000 });
    expect(warnings).toEqual(['the lease could not be renewed; next try in a minute: nobody answers']);
    expect(await one()).toEqual(kv);
  });

  test('leaves nothing behind when the network is full', async () => {
    const tiny = { ...ranges, ipv4: { ...ranges.ipv4, max: ranges.ipv4.min } };
    await acquire(registry(etcd, { ranges: tiny }), 1);
    await expect(acquire(registry(etcd, { ranges: tiny }), 2)).rejects.toThrow(
      /no subnet of 10\.244\.0\.0\/16 is free in etcd: .*\/coreos\.com\/network\/config/,
    );
    expect(await stored()).toHaveLength(1);
  });

  test('of each of eight processes that start at once is another', async () => {
    const children = Array.from({ length: 8 }, (_, i) => acquireInProcess(etcd.url, i + 1));
    expect(new Set(await Promise.all(children)).size).toBe(8);
  });
});

/** The subnets that a process of its own got. */
async function acquireInProcess(url: string, host: number): Promise<string> {
  const script = `
    import { etcdStore } from '${root}/test/kit/etcd.ts';
    import { EtcdRegistry } from '${root}/src/lease/etcd/etcd.ts';
    import { KeySpace } from '${root}/src/lease/etcd/key-space.ts';
    import { systemClock } from '${root}/src/world/clock.ts';
    import { silentLog } from '${root}/src/world/log.ts';
    import { systemRandom } from '${root}/src/world/random.ts';
    const registry = new EtcdRegistry({
      store: etcdStore({ endpoints: ['${url}'] }), keys: new KeySpace('/coreos.com/network'),
      ranges: ${JSON.stringify({ ...ranges, ipv6: { ...ranges.ipv6, max: 'fd00:244:0:8::' } })},
      renewMargin: 60, clock: systemClock, random: systemRandom, log: silentLog,
    });
    const lease = await registry.acquire({
      attributes: { publicIP: '192.0.2.${host}', publicIPv6: '2001:db8::${host}', backendType: 'vxlan' },
      network: ${JSON.stringify(suiteNetwork)}, previous: {},
    });
    console.log(lease.ipv6Subnet);
    process.exit();`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  return stdout.trim();
}
