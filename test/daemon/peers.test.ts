import { beforeEach, describe, expect, test } from 'vitest';
import { makeBackend } from '../../src/backend/backends.ts';
import { Peers } from '../../src/daemon/leases/peers.ts';
import type { Part } from '../../src/kernel/desired.ts';
import type { KernelObject } from '../../src/kernel/object.ts';
import { textOf } from '../../src/kernel/operation.ts';
import type { Lease, LeaseAttributes } from '../../src/lease/lease.ts';
import type { Entry } from '../../src/lease/registry.ts';
import { address } from '../../src/net/address.ts';
import { prefix } from '../../src/net/prefix.ts';
import { peer, self } from '../backend/nodes.ts';

const network = { ipv4: prefix('10.244.0.0/16') };
const lease = (n: number, attributes: Partial<LeaseAttributes> = {}): Lease => peer(n, attributes).lease;
const entries = (...leases: readonly Lease[]) =>
  new Map(leases.map((each): [string, Entry] => [each.id, { lease: each }]));

/** What the reconciler was told, and what it has been told altogether. */
class Scene {
  readonly calls: string[] = [];
  readonly parts = new Map<Part, readonly string[]>();
  readonly log: string[] = [];
  readonly offLink = new Set<string>();

  peers(type: string, known: readonly Lease[] = []): Peers {
    const say = (_fields: object, message: string) => void this.log.push(message);
    return new Peers(self, known, {
      network,
      backend: makeBackend(type, { options: {}, network }),
      reconciler: {
        setPart: (part, objects) => this.#set('set', part, objects),
        removePart: (part) => {
          this.calls.push(`remove ${part}`);
          this.parts.delete(part);
        },
        replaceParts: (parts) => {
          this.calls.push('replace all');
          this.parts.clear();
          for (const [part, objects] of parts) this.#set('with', part, objects);
        },
      },
      log: { debug: say, info: say, warn: say, error: say },
      blackhole: false,
      nexthops: false,
      isOnLink: (gateway) => !this.offLink.has(gateway),
    });
  }

  #set(how: string, part: Part, objects: readonly KernelObject[]): void {
    this.calls.push(`${how} ${part}`);
    this.parts.set(part, objects.map(textOf));
  }
}

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});

describe('until the registry has told everything', () => {
  test('those known from last time are desired beside what there is, and nothing is replaced', () => {
    const peers = scene.peers('vxlan', [lease(2), lease(3)]);
    expect(scene.calls).toEqual(['set node', 'set peer node-2', 'set peer node-3']);
    peers.setSelf(self);
    expect(scene.calls).not.toContain('replace all');
    peers.all(entries(lease(3), lease(4)));
    expect(scene.calls.slice(6)).toEqual([
      'replace all',
      'with node',
      'with peer node-3',
      'with peer node-4',
    ]);
    expect(peers.leases.map(({ id }) => id)).toEqual(['node-3', 'node-4']);
  });

  test('this node is not among them, whatever it was before', () => {
    const peers = scene.peers('vxlan', [lease(1, { publicIP: address('192.0.2.77') }), lease(2)]);
    expect(scene.calls).toEqual(['set node', 'set peer node-2']);
    expect(peers.refusals).toEqual([]);
  });
});

describe('a change', () => {
  let peers: Peers;
  beforeEach(() => {
    peers = scene.peers('vxlan');
    peers.all(entries(lease(2), lease(3)));
    scene.calls.splice(0);
  });

  test('of one peer is that peer’s part, and no other', () => {
    peers.changed('node-3', { lease: lease(3, { publicIP: address('192.0.2.33') }) });
    expect(scene.calls).toEqual(['set peer node-3']);
    expect(scene.parts.get('peer node-3')).toContain('fdb 02:00:00:04:00:03 dst 192.0.2.33 dev flannel.1');
    peers.gone('node-2');
    expect(scene.calls).toEqual(['set peer node-3', 'remove peer node-2']);
  });

  test('of a peer’s subnet takes the entries of the old one away', () => {
    peers.changed('node-3', { lease: { ...lease(3), subnet: prefix('10.244.9.0/24') } });
    expect(scene.calls).toEqual(['set peer node-3']);
    expect(scene.parts.get('peer node-3')?.filter((line) => line.includes('10.244.3.'))).toEqual([]);
    expect(scene.parts.get('peer node-3')?.join()).toContain('route 10.244.9.0/24');
  });

  test('of a peer’s backend takes all its entries away', () => {
    peers.changed('node-3', { lease: lease(3, { backendType: 'host-gw' }) });
    expect(scene.calls).toEqual(['set peer node-3']);
    expect(scene.parts.get('peer node-3')).toEqual([]);
  });

  test('of nothing is none', () => {
    peers.changed('node-3', { lease: lease(3) });
    peers.all(entries(lease(2), lease(3)));
    expect(scene.calls).toEqual([]);
  });

  test('of this node is one of all', () => {
    peers.setSelf({ ...self, external: { ...self.external, mtu: 9000 } });
    expect(scene.calls[0]).toBe('replace all');
    expect(scene.parts.get('node')?.[0]).toContain('mtu 8950');
  });
});

describe('who is refused', () => {
  test('by the backend keeps nobody else waiting, is told once, and again when the reason is another one', () => {
    const peers = scene.peers('vxlan');
    const other = lease(2, { backendType: 'host-gw' });
    peers.all(entries(other, lease(3)));
    peers.changed('node-4', { lease: lease(4) });
    const why = 'its backend is "host-gw", and this node\'s is "vxlan"';
    expect(peers.refusals).toEqual([{ id: 'node-2', reason: why }]);
    expect(scene.log).toEqual([`the lease of node-2 is refused: ${why}`]);
    expect([scene.parts.get('peer node-2'), scene.parts.get('peer node-3')?.length]).toEqual([[], 3]);
    peers.changed('node-2', { lease: lease(2, { backendData: {} }) });
    expect(scene.log).toHaveLength(2);
    peers.changed('node-2', { lease: lease(2) });
    expect([peers.refusals, scene.log.length]).toEqual([[], 2]);
  });

  test('for two reasons is told once', () => {
    scene.offLink.add('192.0.2.2');
    const peers = scene.peers('host-gw');
    peers.all(entries(lease(2, { backendType: 'host-gw' })));
    peers.changed('node-2', { unreadable: 'no JSON' });
    expect(peers.refusals).toEqual([{ id: 'node-2', reason: expect.stringContaining('no JSON') }]);
  });

  test('for being off-link is taken when a way has come', () => {
    scene.offLink.add('192.0.2.2');
    const peers = scene.peers('host-gw');
    peers.all(entries(lease(2, { backendType: 'host-gw' })));
    expect(peers.refusals).toEqual([{ id: 'node-2', reason: expect.stringContaining('behind a router') }]);
    scene.offLink.clear();
    peers.setSelf(self);
    expect(peers.refusals).toEqual([]);
    expect(scene.parts.get('peer node-2')).toEqual(['route 10.244.2.0/24 via 192.0.2.2 dev eth0']);
  });

  test('because this node has moved to its address is told', () => {
    const peers = scene.peers('vxlan');
    peers.all(entries(lease(2)));
    const attributes = { ...self.lease.attributes, publicIP: address('192.0.2.2') };
    peers.setSelf({ ...self, lease: { ...self.lease, attributes } });
    expect(scene.parts.has('peer node-2')).toBe(false);
    expect(scene.log).toEqual([
      "the lease of node-2 is refused: its public address 192.0.2.2 is this node's own",
    ]);
  });
});

test('a boot route is Go flannel’s if it leads where a lease says, one of now or one of before', () => {
  const peers = scene.peers('vxlan', [lease(2)]);
  peers.all(entries(lease(3)));
  const isFlannels = (destination: string, gateway: string) =>
    peers.isFlannelRoute(prefix(destination), address(gateway));
  expect(isFlannels('10.244.2.0/24', '10.244.2.0')).toBe(true);
  expect(isFlannels('10.244.2.0/24', '192.0.2.2')).toBe(true);
  expect(isFlannels('10.244.3.0/24', '192.0.2.3')).toBe(true);
  expect(isFlannels('10.244.3.0/24', '192.0.2.2')).toBe(false);
  expect(isFlannels('10.244.0.0/16', '192.0.2.2')).toBe(false);
  expect(peers.isFlannelRoute(prefix('10.244.2.0/24'), undefined)).toBe(false);
});

test('a peer that changes its address all the time fills no memory: of its addresses the newest are known', () => {
  const peers = scene.peers('vxlan', [lease(2)]);
  peers.all(entries(lease(2), lease(3)));
  const moving = (n: number) => address(`198.51.${n >> 8}.${n & 255}`);
  for (let n = 1; n < 1000; n++) peers.changed('node-2', { lease: lease(2, { publicIP: moving(n) }) });
  const known = Array.from({ length: 1000 }, (_, n) =>
    peers.isFlannelRoute(prefix('10.244.2.0/24'), moving(n)),
  );
  expect(known.filter(Boolean).length).toBeLessThan(10);
  expect(known[999]).toBe(true);
  expect(peers.isFlannelRoute(prefix('10.244.2.0/24'), address('10.244.2.0'))).toBe(true);
  expect(peers.isFlannelRoute(prefix('10.244.3.0/24'), address('192.0.2.3'))).toBe(true);
});
