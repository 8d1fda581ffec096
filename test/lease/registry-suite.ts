import { expect, test } from 'vitest';
import type { Lease, LeaseAttributes, PodNetwork } from '../../src/lease/lease.ts';
import type { Entry, LeaseSink, LeaseWish, Registry } from '../../src/lease/registry.ts';
import { address } from '../../src/net/address.ts';
import { type Prefix, prefix } from '../../src/net/prefix.ts';

/** A kind of registry, empty, for one test. */
export interface RegistryKit {
  /** One node's view. Where the cluster knows its nodes, the node is there afterwards. */
  node(name: string): Registry | Promise<Registry>;
  /** Puts something there that is no lease, under a node's name where leases have one. Answers the id that it has. */
  spoil(name: string): string | Promise<string>;
  /** Takes a lease away, as when its node is removed. */
  remove(id: string): void | Promise<void>;
  /** Makes the registry unreachable, and reachable again. */
  away(): void | Promise<void>;
  back(): void | Promise<void>;
}

export const suiteNetwork: PodNetwork = { ipv4: prefix('10.244.0.0/16'), ipv6: prefix('fd00:244::/56') };

/** What every registry has to do, whatever it is made of. `make` cleans up by itself. */
export function registrySuite(make: () => RegistryKit | Promise<RegistryKit>): void {
  test('gives a lease, which the same node has again', async () => {
    const kit = await make();
    const first = await acquire(await kit.node('a'), 1);
    expect(first).toMatchObject({ subnet: expect.any(String), ipv6Subnet: expect.any(String) });
    expect(await acquire(await kit.node('a'), 1)).toEqual(first);
    expect(await (await kit.node('a')).own(wish(1))).toEqual(first);
    expect(await (await kit.node('b')).own(wish(2))).toBeUndefined();
  });

  test('never gives one subnet to two of eight that start at once', async () => {
    const kit = await make();
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const leases = await Promise.all(names.map(async (name, i) => acquire(await kit.node(name), i + 1)));
    expect(new Set(leases.map(({ subnet }) => subnet)).size).toBe(8);
    expect(new Set(leases.map(({ ipv6Subnet }) => ipv6Subnet)).size).toBe(8);
  });

  test('tells about all, and then about each that comes, changes and goes', async () => {
    const kit = await make();
    const a = await acquire(await kit.node('a'), 1);
    const seen = new Seen();
    const stop = (await kit.node('me')).watch(seen);
    await seen.until(() => seen.lease(a.id) !== undefined);
    expect(seen.lease(a.id)).toEqual(a);
    const node = await kit.node('b');
    const b = await acquire(node, 2);
    await seen.until(() => seen.lease(b.id) !== undefined);
    expect((await acquire(node, 9)).id).toBe(b.id);
    await seen.until(() => seen.lease(b.id)?.attributes.publicIP === '192.0.2.9');
    await kit.remove(b.id);
    await seen.until(() => !seen.entries.has(b.id));
    stop();
    const c = await acquire(await kit.node('c'), 3);
    await pause(100);
    expect(seen.entries.has(c.id)).toBe(false);
  });

  test('names what is no lease, and hides nobody else', async () => {
    const kit = await make();
    const a = await acquire(await kit.node('a'), 1);
    const spoilt = await kit.spoil('b');
    const seen = new Seen();
    const stop = (await kit.node('me')).watch(seen);
    await seen.until(() => seen.entries.size === 2);
    expect(seen.entries.get(spoilt)).toEqual({ unreadable: expect.stringMatching(/\S/) });
    expect(seen.lease(a.id)).toBeDefined();
    stop();
  });

  test('says since when it is away, forgets nobody meanwhile, and goes on when it is back', async () => {
    const kit = await make();
    const a = await acquire(await kit.node('a'), 1);
    const seen = new Seen();
    const stop = (await kit.node('me')).watch(seen);
    await seen.until(() => seen.lease(a.id) !== undefined);
    await kit.away();
    await seen.until(() => seen.staleSince !== undefined);
    expect(seen.lease(a.id)).toBeDefined();
    await kit.back();
    await seen.until(() => seen.staleSince === undefined);
    const b = await acquire(await kit.node('b'), 2);
    await seen.until(() => seen.lease(b.id) !== undefined);
    stop();
  });
}

/** What a registry has to do that chooses the subnets itself; Kubernetes leaves that to its controller manager. */
export function allocationSuite(make: () => RegistryKit | Promise<RegistryKit>): void {
  test('gives the subnet that the node had before, if nobody has it', async () => {
    const kit = await make();
    const wanted = prefix('10.244.77.0/24');
    expect((await acquire(await kit.node('a'), 1, wanted)).subnet).toBe(wanted);
    expect((await acquire(await kit.node('b'), 2, wanted)).subnet).not.toBe(wanted);
    const foreign = prefix('10.9.0.0/24');
    expect((await acquire(await kit.node('c'), 3, foreign)).subnet).toMatch(/^10\.244\./);
  });
}

/** Node number `host` asks for its lease. */
export function acquire(registry: Registry, host: number, previous?: Prefix): Promise<Lease> {
  return registry.acquire(wish(host, previous));
}

export function wish(host: number, previous?: Prefix): LeaseWish {
  const attributes: LeaseAttributes = {
    publicIP: address(`192.0.2.${host}`),
    publicIPv6: address(`2001:db8::${host}`),
    backendType: 'vxlan',
    backendData: { VNI: 1, VtepMAC: '12:c6:65:89:b4:e3' },
    backendV6Data: { VNI: 1, VtepMAC: '12:c6:65:89:b4:e4' },
  };
  return {
    attributes,
    network: suiteNetwork,
    previous: previous === undefined ? {} : { subnet: previous },
  };
}

/** What a registry has told. */
export class Seen implements LeaseSink {
  readonly entries = new Map<string, Entry>();
  /** `all`, `changed a`, `gone a`. */
  readonly calls: string[] = [];
  staleSince: number | undefined;
  why: string | undefined;

  all(entries: ReadonlyMap<string, Entry>): void {
    this.calls.push('all');
    this.entries.clear();
    for (const [id, entry] of entries) this.entries.set(id, entry);
  }

  changed(id: string, entry: Entry): void {
    this.calls.push(`changed ${id}`);
    this.entries.set(id, entry);
  }

  gone(id: string): void {
    this.calls.push(`gone ${id}`);
    this.entries.delete(id);
  }

  stale(since: number | undefined, why?: string): void {
    this.staleSince = since;
    this.why = why;
  }

  lease(id: string): Lease | undefined {
    const entry = this.entries.get(id);
    return entry !== undefined && 'lease' in entry ? entry.lease : undefined;
  }

  async until(condition: () => boolean): Promise<void> {
    for (let waited = 0; !condition(); waited += 5) {
      if (waited > 10_000) throw new Error(`it did not come to this: ${condition.toString()}`);
      await pause(5);
    }
  }
}

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
