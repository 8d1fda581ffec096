import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { KernelObject, WireguardPeer } from '../../src/kernel/object.ts';
import { Tunnels } from '../../src/kernel/tunnels.ts';
import { address } from '../../src/net/address.ts';
import { prefix } from '../../src/net/prefix.ts';
import * as k from '../../src/netlink/constants.ts';
import { delLink, newLink } from '../../src/netlink/route/link.ts';
import { SyncSession } from '../../src/netlink/session.ts';
import { type DeviceChange, type PeerReading, WireguardError } from '../../src/wireguard/device.ts';
import { type Endpoint, endpointOf } from '../../src/wireguard/endpoint.ts';
import { publicKeyFromBytes, Secret } from '../../src/wireguard/key.ts';
import { FakeWireguard } from './fake-wireguard.ts';
import { World } from './world.ts';

const link = 'flannel-wg';
const key = (n: number) => publicKeyFromBytes(new Uint8Array(32).fill(n));
const at = (n: number, port = 51_820): Endpoint => endpointOf(address(`192.0.2.${n}`), port);
const peer = (n: number, more: Partial<WireguardPeer> = {}): WireguardPeer => ({
  kind: 'wireguardPeer',
  link,
  publicKey: key(n),
  presharedKey: new Secret(new Uint8Array(32).fill(99)),
  endpoint: at(n),
  allowedIPs: [prefix(`10.244.${n}.0/24`)],
  keepalive: 25,
  ...more,
});
const node = (userspace = false): KernelObject[] => [
  { kind: 'link', name: link, mtu: 1420, info: { kind: 'wireguard', userspace } },
  {
    kind: 'wireguard',
    link,
    privateKey: new Secret(new Uint8Array(32).fill(7)),
    listenPort: 51_820,
    fwmark: 0,
  },
  { kind: 'address', link, address: prefix('10.244.1.0/32') },
];

const seconds = 1000;
/** Comparisons come at least as often as this. */
const audit = 5 * seconds;

let world: World;
let wireguard: FakeWireguard;
beforeEach(() => {
  world = new World((made) => {
    wireguard = new FakeWireguard((name) => made.kernel.linkNamed(name) !== undefined);
    return new Tunnels(wireguard, made.clock);
  });
  world.reconciler.own({
    links: new Set([link]),
    networks: [prefix('10.244.0.0/16')],
    isFlannelRoute: () => false,
  });
});
afterEach(() => world[Symbol.asyncDispose]());

async function start(peers: readonly WireguardPeer[], own = node()): Promise<void> {
  world.reconciler.replaceParts(
    new Map<string, readonly KernelObject[]>([
      ['node', own],
      ...peers.map((each): [string, KernelObject[]] => [`peer ${each.publicKey}`, [each]]),
    ]),
  );
  await world.reconciler.start();
  await world.reconciler.settled();
  await world.hear();
}

const held = (n: number): PeerReading | undefined => wireguard.device(link).peers.get(key(n));
/** As somebody else, or the peer itself, makes it. */
const alter = (n: number, change: Partial<PeerReading>) => {
  wireguard.device(link).peers.set(key(n), { ...(held(n) ?? peer(n)), ...change });
};
const written = (): string[] => wireguard.writes.splice(0).map(nameOf);
function nameOf(change: DeviceChange): string {
  if ('device' in change) return 'device';
  if ('removed' in change) return `no ${Buffer.from(change.removed, 'base64')[0]}`;
  return `${Buffer.from(change.peer.publicKey, 'base64')[0]} ${change.peer.endpoint ?? 'where it is'}`;
}

describe('a WireGuard device', () => {
  test('is set once, and then only read', async () => {
    await start([peer(2), peer(3)]);
    expect(written()).toEqual(['device', '2 192.0.2.2:51820', '3 192.0.2.3:51820']);
    expect(world.reconciler.report()).toMatchObject({ wanted: 5, objects: 5, failed: [], repairs: 0 });
    world.writes();
    await world.clock.advance(10 * 60 * seconds);
    expect(written()).toEqual([]);
    expect(world.writes()).toEqual([]);
  });

  test.each<[string, () => void, string[]]>([
    ['a peer removed', () => wireguard.device(link).peers.delete(key(2)), ['2 192.0.2.2:51820']],
    ['a peer added', () => alter(9, {}), ['no 9']],
    ['allowed IPs changed', () => alter(2, { allowedIPs: [prefix('10.9.0.0/16')] }), ['2 where it is']],
    [
      'allowed IPs added',
      () => alter(3, { allowedIPs: ['10.244.3.0/24', '10.9.0.0/16'].map(prefix) }),
      ['3 where it is'],
    ],
    ['a keepalive changed', () => alter(2, { keepalive: 0 }), ['2 where it is']],
    [
      'a preshared key changed',
      () => alter(2, { presharedKey: new Secret(new Uint8Array(32)) }),
      ['2 where it is'],
    ],
    ['an endpoint changed', () => alter(2, { endpoint: at(66) }), ['2 192.0.2.2:51820']],
    [
      'the port changed',
      () => {
        const device = wireguard.device(link);
        device.settings = device.settings && { ...device.settings, listenPort: 1 };
      },
      ['device'],
    ],
  ])('is mended within five seconds: %s', async (_name, change, writes) => {
    await start([peer(2), peer(3)]);
    const before = new Map(wireguard.device(link).peers);
    written();
    change();
    await world.clock.advance(audit);
    expect(written()).toEqual(writes);
    expect(wireguard.device(link).peers).toEqual(before);
    expect(wireguard.device(link).settings?.listenPort).toBe(51_820);
    expect(world.reconciler.report().repairs).toBe(1);
  });

  test('loses a peer that leaves, and one whose key is another now', async () => {
    await start([peer(2), peer(3)]);
    written();
    world.reconciler.removePart(`peer ${key(2)}`);
    world.reconciler.setPart(`peer ${key(3)}`, [peer(4, { allowedIPs: peer(3).allowedIPs })]);
    await world.reconciler.settled();
    expect(written().toSorted()).toEqual(['4 192.0.2.4:51820', 'no 2', 'no 3']);
    expect([...wireguard.device(link).peers.keys()]).toEqual([key(4)]);
  });

  test('that refuses a peer has the others, and that one in the end', async () => {
    wireguard.refuse = (change) =>
      'peer' in change && change.peer.publicKey === key(2)
        ? new WireguardError('the kernel says ENOMEM', 'ENOMEM')
        : undefined;
    await start([peer(2), peer(3)]);
    expect([...wireguard.device(link).peers.keys()]).toEqual([key(3)]);
    expect(world.reconciler.report().failed.map(({ why }) => why)).toEqual([
      expect.stringContaining('the kernel says ENOMEM'),
    ]);
    wireguard.refuse = () => undefined;
    await world.clock.advance(30 * seconds);
    expect(world.reconciler.report()).toMatchObject({ objects: 5, failed: [] });
  });

  test('is set anew when its link was', async () => {
    await start([peer(2)]);
    written();
    wireguard.devices.clear();
    new SyncSession(world.kernel.open()).request(delLink({ IFLA_IFNAME: link }));
    await world.hear();
    expect(written()).toEqual(['device', '2 192.0.2.2:51820']);
  });

  test('that cannot be read is read again', async () => {
    await start([peer(2)]);
    alter(2, { keepalive: 1 });
    wireguard.failure = new Error('no memory');
    await world.clock.advance(audit + seconds);
    await world.reconciler.settled();
    expect(held(2)?.keepalive).toBe(25);
    expect(world.warnings.join('\n')).toContain('could not be read');
  });

  test('is repaired with words that tell no secret', async () => {
    await start([peer(2)]);
    alter(2, { keepalive: 1, presharedKey: new Secret(new Uint8Array(32).fill(98)) });
    await world.clock.advance(audit);
    expect(world.warnings).toEqual([
      `repaired: replace wireguard peer ${key(2)} with a preshared key endpoint 192.0.2.2:51820 ` +
        'persistent-keepalive 25 allowed-ips 10.244.2.0/24 dev flannel-wg, ' +
        `was wireguard peer ${key(2)} with a preshared key endpoint 192.0.2.2:51820 ` +
        'persistent-keepalive 1 allowed-ips 10.244.2.0/24 dev flannel-wg',
    ]);
  });
});

describe('an endpoint', () => {
  /** The peer's packets come from elsewhere, and a handshake says that it is the peer. */
  const move = (n: number) => alter(n, { endpoint: at(n, 7777), lastHandshake: world.clock.now() });

  test('that a handshake moved stays as long as there are handshakes', async () => {
    await start([peer(2)]);
    written();
    await world.clock.advance(seconds);
    for (let i = 0; i < 10; i++) {
      move(2);
      await world.clock.advance(120 * seconds);
    }
    expect(written()).toEqual([]);
    expect(held(2)?.endpoint).toBe(at(2, 7777));
    // Something else about the peer is mended without it.
    alter(2, { keepalive: 1 });
    await world.clock.advance(audit);
    expect(written()).toEqual(['2 where it is']);
    expect(held(2)?.endpoint).toBe(at(2, 7777));
  });

  test('is set again when nobody shook hands there for the life of a session', async () => {
    await start([peer(2)]);
    written();
    await world.clock.advance(seconds);
    move(2);
    await world.clock.advance(180 * seconds);
    expect(written()).toEqual([]);
    await world.clock.advance(2 * audit);
    expect(written()).toEqual(['2 192.0.2.2:51820']);
    await world.clock.advance(60 * seconds);
    expect(written()).toEqual([]);
  });

  test('is set again where the handshake is older than ours', async () => {
    await start([peer(2)]);
    const before = world.clock.now() - seconds;
    await world.clock.advance(seconds);
    alter(2, { endpoint: at(66), lastHandshake: before });
    written();
    await world.clock.advance(audit);
    expect(written()).toEqual(['2 192.0.2.2:51820']);
  });

  test('is set at once when the lease names another, wherever the peer was', async () => {
    await start([peer(2)]);
    await world.clock.advance(seconds);
    move(2);
    await world.clock.advance(audit);
    written();
    world.reconciler.setPart(`peer ${key(2)}`, [peer(2, { endpoint: at(22) })]);
    await world.reconciler.settled();
    expect(written()).toEqual(['2 192.0.2.22:51820']);
  });

  test.each([
    [100, []],
    [200, ['2 192.0.2.2:51820']],
  ])('found at the start, with a handshake %d seconds ago', async (age, writes) => {
    const outside = new SyncSession(world.kernel.open());
    const up = { ifi_flags: k.IFF_UP, ifi_change: k.IFF_UP, IFLA_MTU: 1420 };
    outside.request(newLink({ ...up, IFLA_IFNAME: link, IFLA_LINKINFO: { IFLA_INFO_KIND: 'wireguard' } }));
    wireguard.device(link).settings = node()[1] as never;
    const { kind: _, link: __, ...found } = peer(2);
    alter(2, { ...found, endpoint: at(2, 7777), lastHandshake: world.clock.now() - age * seconds });
    await start([peer(2)]);
    expect(written()).toEqual(writes);
  });
});

describe('where the kernel has no WireGuard', () => {
  let tries = 0;
  const makeWith = (make: (name: string) => void) => {
    tries = 0;
    Object.assign(wireguard, {
      make: (name: string) => {
        tries++;
        return new Promise<void>((resolve) => {
          make(name);
          resolve();
        });
      },
    });
  };
  const tun = (name: string) => {
    const outside = new SyncSession(world.kernel.open());
    outside.request(newLink({ IFLA_IFNAME: name, IFLA_MTU: 1300, IFLA_LINKINFO: { IFLA_INFO_KIND: 'tun' } }));
  };

  test('a process makes the device, which then is set as any other, and made again when the process ends', async () => {
    makeWith(tun);
    await start([peer(2)], node(true));
    expect(tries).toBe(1);
    expect(written()).toEqual(['device', '2 192.0.2.2:51820']);
    expect(world.kernel.linkNamed(link)).toMatchObject({ IFLA_MTU: 1420 });
    expect((world.kernel.linkNamed(link)?.ifi_flags ?? 0) & k.IFF_UP).toBe(k.IFF_UP);
    wireguard.devices.clear();
    new SyncSession(world.kernel.open()).request(delLink({ IFLA_IFNAME: link }));
    await world.hear();
    expect(tries).toBe(2);
    expect(world.reconciler.report()).toMatchObject({ objects: 4, failed: [] });
  });

  test('a TUN device that nobody serves is made anew', async () => {
    makeWith(tun);
    tun(link);
    Object.assign(wireguard, {
      read: (name: string) =>
        tries === 0 ? Promise.resolve(undefined) : FakeWireguard.prototype.read.call(wireguard, name),
    });
    await start([peer(2)], node(true));
    expect(tries).toBe(1);
    expect(world.reconciler.report()).toMatchObject({ objects: 4, failed: [] });
  });

  test('a program that is missing is told, and tried again', async () => {
    let isMissing = true;
    makeWith((name) => {
      if (isMissing) throw new WireguardError('install it');
      tun(name);
    });
    await start([peer(2)], node(true));
    expect(world.reconciler.report().failed).toEqual([
      {
        what: 'add link flannel-wg mtu 1420 wireguard by wireguard-go',
        why: 'cannot add link flannel-wg mtu 1420 wireguard by wireguard-go: install it',
      },
    ]);
    isMissing = false;
    await world.clock.advance(30 * seconds);
    expect(world.reconciler.report()).toMatchObject({ objects: 4, failed: [] });
  });
});
