import { describe, expect, test } from 'vitest';
import { type External, type Self } from '../../src/backend/backend.ts';
import { BackendError } from '../../src/backend/error.ts';
import { wireguard } from '../../src/backend/wireguard.ts';
import { wireguardOptions } from '../../src/backend/wireguard-options.ts';
import { keyOf } from '../../src/kernel/object.ts';
import { textOf } from '../../src/kernel/operation.ts';
import type { LeaseAttributes, PodNetwork } from '../../src/lease/lease.ts';
import { address } from '../../src/net/address.ts';
import { prefix } from '../../src/net/prefix.ts';
import { publicKeyFromBytes, publicKeyOf, Secret } from '../../src/wireguard/key.ts';
import { external, peer as anyPeer, self as anySelf } from './nodes.ts';

const v4 = prefix('10.244.0.0/16');
const v6 = prefix('fd00:10:244::/56');
const dual: PodNetwork = { ipv4: v4, ipv6: v6 };
const only4: PodNetwork = { ipv4: v4 };
const only6: PodNetwork = { ipv6: v6 };

const privateKey = new Secret(new Uint8Array(32).fill(64));
const publicKey = publicKeyOf(privateKey);
const self: Self = {
  ...anySelf,
  lease: { ...anySelf.lease, attributes: { backendType: 'wireguard' } },
  identity: { macs: {}, wireguard: { privateKey, publicKey, userspace: false } },
};
const keyOfNode = (n: number) => publicKeyFromBytes(new Uint8Array(32).fill(n));
const psk = Buffer.alloc(32, 5).toString('base64');

function peer(n: number, attributes: Partial<LeaseAttributes> = {}) {
  return anyPeer(n, {
    backendType: 'wireguard',
    backendData: { PublicKey: keyOfNode(n), Port: 51_820 },
    backendV6Data: { PublicKey: keyOfNode(n), Port: 51_821 },
    ...attributes,
  });
}

const make = (network: PodNetwork, options: Record<string, unknown> = {}) =>
  wireguard(wireguardOptions(options), network);

describe('the node', () => {
  test.each<[string, string, PodNetwork, string[]]>([
    [
      'separate',
      'dual',
      dual,
      [
        'link flannel-wg mtu 1420 wireguard',
        'wireguard port 51820 fwmark 0 dev flannel-wg',
        'address 10.244.1.0/32 dev flannel-wg',
        'route 10.244.0.0/16 dev flannel-wg',
        'link flannel-wg-v6 mtu 1420 wireguard',
        'wireguard port 51821 fwmark 0 dev flannel-wg-v6',
        'address fd00:10:244:1::/128 dev flannel-wg-v6',
        'route fd00:10:244::/56 dev flannel-wg-v6',
      ],
    ],
    [
      'separate',
      'v4',
      only4,
      [
        'link flannel-wg mtu 1420 wireguard',
        'wireguard port 51820 fwmark 0 dev flannel-wg',
        'address 10.244.1.0/32 dev flannel-wg',
        'route 10.244.0.0/16 dev flannel-wg',
      ],
    ],
    [
      'separate',
      'v6',
      only6,
      [
        'link flannel-wg-v6 mtu 1420 wireguard',
        'wireguard port 51821 fwmark 0 dev flannel-wg-v6',
        'address fd00:10:244:1::/128 dev flannel-wg-v6',
        'route fd00:10:244::/56 dev flannel-wg-v6',
      ],
    ],
    ...(['auto', 'ipv4', 'ipv6'] as const).map((mode): [string, string, PodNetwork, string[]] => [
      mode,
      'dual',
      dual,
      [
        'link flannel-wg mtu 1420 wireguard',
        'wireguard port 51820 fwmark 0 dev flannel-wg',
        'address 10.244.1.0/32 dev flannel-wg',
        'route 10.244.0.0/16 dev flannel-wg',
        'address fd00:10:244:1::/128 dev flannel-wg',
        'route fd00:10:244::/56 dev flannel-wg',
      ],
    ]),
    [
      'auto',
      'v6',
      only6,
      [
        'link flannel-wg mtu 1420 wireguard',
        'wireguard port 51820 fwmark 0 dev flannel-wg',
        'address fd00:10:244:1::/128 dev flannel-wg',
        'route fd00:10:244::/56 dev flannel-wg',
      ],
    ],
  ])('in mode %s, %s', (Mode, _family, network, lines) => {
    expect(make(network, { Mode }).planNode(self).map(textOf)).toEqual(lines);
  });

  test('has the ports, the MTU and the kind of device that it is told', () => {
    const backend = make(dual, { ListenPort: 1000, ListenPortV6: 2000, MTU: 1400 });
    const identity = { macs: {}, wireguard: { privateKey, publicKey, userspace: true } };
    expect(
      backend
        .planNode({ ...self, identity })
        .map(textOf)
        .filter((line) => /^(link|wireguard)/.test(line)),
    ).toEqual([
      'link flannel-wg mtu 1320 wireguard by wireguard-go',
      'wireguard port 1000 fwmark 0 dev flannel-wg',
      'link flannel-wg-v6 mtu 1320 wireguard by wireguard-go',
      'wireguard port 2000 fwmark 0 dev flannel-wg-v6',
    ]);
    expect(backend.mtu(external)).toBe(1320);
    expect(make(dual).mtu({ ...external, mtu: 9000 })).toBe(8920);
    expect(backend.ipv6Mtu(external)).toBeUndefined();
  });

  test('owns the device of the family that it has no more', () => {
    expect(make(only4).ownLinks).toEqual(['flannel-wg', 'flannel-wg-v6']);
  });

  test('in a mode over a family that the network has not is refused', () => {
    expect(() => make(only4, { Mode: 'ipv6' })).toThrow(BackendError);
    expect(() => make(only4, { Mode: 'ipv6' })).toThrow(
      'Backend.Mode is "ipv6", and the network has no IPv6',
    );
    expect(() => make(only6, { Mode: 'ipv4' })).toThrow(
      'Backend.Mode is "ipv4", and the network has no IPv4',
    );
  });
});

describe('what peers are told is flannel’s JSON to the byte', () => {
  test.each<[string, PodNetwork, number | undefined, number | undefined]>([
    ['separate', dual, 51_820, 51_821],
    ['separate', only4, 51_820, undefined],
    ['separate', only6, undefined, 51_821],
    // Where Go flannel tells ListenPortV6, at which nobody listens.
    ['auto', dual, 51_820, 51_820],
    ['ipv6', only6, undefined, 51_820],
  ])('in mode %s, %j', (Mode, network, port, port6) => {
    const { backendData, backendV6Data } = make(network, { Mode }).attributes(external, self.identity);
    const text = (told: number | undefined) =>
      told === undefined ? undefined : `{"PublicKey":"${publicKey}","Port":${told}}`;
    expect(JSON.stringify(backendData)).toBe(text(port));
    expect(JSON.stringify(backendV6Data)).toBe(text(port6));
  });
});

describe('a peer', () => {
  test.each<[string, PodNetwork, string[]]>([
    [
      'separate',
      dual,
      [
        `wireguard peer ${keyOfNode(2)} endpoint 192.0.2.2:51820 allowed-ips 10.244.2.0/24 dev flannel-wg`,
        `wireguard peer ${keyOfNode(2)} endpoint [2001:db8::2]:51821 allowed-ips fd00:10:244:2::/64 dev flannel-wg-v6`,
      ],
    ],
    [
      'ipv4',
      dual,
      [
        `wireguard peer ${keyOfNode(2)} endpoint 192.0.2.2:51820 allowed-ips 10.244.2.0/24,fd00:10:244:2::/64 dev flannel-wg`,
      ],
    ],
    [
      'ipv6',
      dual,
      [
        `wireguard peer ${keyOfNode(2)} endpoint [2001:db8::2]:51820 allowed-ips 10.244.2.0/24,fd00:10:244:2::/64 dev flannel-wg`,
      ],
    ],
    [
      // A Go peer with IPv6 alone tells ListenPortV6, and listens at ListenPort.
      'ipv6',
      only6,
      [
        `wireguard peer ${keyOfNode(2)} endpoint [2001:db8::2]:51820 allowed-ips fd00:10:244:2::/64 dev flannel-wg`,
      ],
    ],
    [
      'ipv4',
      only4,
      [`wireguard peer ${keyOfNode(2)} endpoint 192.0.2.2:51820 allowed-ips 10.244.2.0/24 dev flannel-wg`],
    ],
  ])('in mode %s, %j', (Mode, network, lines) => {
    const plan = make(network, { Mode }).planPeer(self, peer(2));
    expect(plan.map(textOf)).toEqual(lines);
  });

  test('has a preshared key and a keepalive if so configured; neither its text nor its key shows the secret', () => {
    const backend = make(only4, { PSK: psk, PersistentKeepaliveInterval: 25 });
    const [object] = backend.planPeer(self, peer(2));
    if (object === undefined) throw new Error('no plan');
    expect(textOf(object)).toBe(
      `wireguard peer ${keyOfNode(2)} with a preshared key endpoint 192.0.2.2:51820 persistent-keepalive 25 ` +
        'allowed-ips 10.244.2.0/24 dev flannel-wg',
    );
    expect(keyOf(object)).toBe(`wireguard peer ${keyOfNode(2)} dev flannel-wg`);
    const texts = JSON.stringify([object, backend.planNode(self)]);
    for (const secret of [psk, Buffer.from(privateKey.reveal()).toString('base64')])
      expect(texts).not.toContain(secret);
  });

  test.each([0, null, undefined])('that tells port %j listens where we do', (Port) => {
    const plan = make(only4, { ListenPort: 999 }).planPeer(
      self,
      peer(2, { backendData: { PublicKey: keyOfNode(2), Port } }),
    );
    expect(plan).toMatchObject([{ endpoint: '192.0.2.2:999' }]);
  });

  const inside = { publicIP: address('10.0.0.2') };
  const insideV6 = { publicIPv6: address('fd00::2') };
  const without = (key: string) => ({ [key]: undefined });
  test.each<[string, Partial<LeaseAttributes>, Partial<External>, string]>([
    ['a public IPv4 address', {}, {}, '192.0.2.2'],
    ['a private one, and IPv6 at both ends', inside, {}, '2001:db8::2'],
    ['a private one, and a unique local IPv6 one', { ...inside, ...insideV6 }, {}, '10.0.0.2'],
    ['a private one, and our IPv6 is unique local', inside, insideV6, '10.0.0.2'],
    ['no IPv6 address', { ...inside, ...without('publicIPv6') }, {}, '10.0.0.2'],
    ['no IPv4 address', without('publicIP'), {}, '2001:db8::2'],
    ['any, where we have no IPv4', {}, { ...without('publicIP'), ...without('address') }, '2001:db8::2'],
  ])('in mode auto with %s', (_name, attributes, own, endpoint) => {
    const backend = make(dual, { Mode: 'auto' });
    const [object] = backend.planPeer({ ...self, external: { ...external, ...own } }, peer(2, attributes));
    expect(object).toMatchObject({
      endpoint: endpoint.includes(':') ? `[${endpoint}]:51820` : `${endpoint}:51820`,
    });
  });

  test.each<[string, Partial<LeaseAttributes>, string]>([
    ['separate', { backendType: 'vxlan' }, 'its backend is "vxlan", and this node\'s is "wireguard"'],
    ['separate', { publicIP: undefined as never }, 'it has no public IPv4 address'],
    ['ipv6', { publicIPv6: undefined as never }, 'it has no public IPv6 address'],
    ['separate', { backendData: null }, 'its backend-data has no PublicKey'],
    ['separate', { backendV6Data: {} }, 'its backend-v6-data has no PublicKey'],
    [
      'auto',
      { backendData: null, backendV6Data: 7 },
      'its backend-data and backend-v6-data have no PublicKey',
    ],
    [
      'separate',
      { backendData: { PublicKey: 'no\nkey' } },
      'its PublicKey "no\\nkey" in backend-data is no WireGuard key',
    ],
    [
      'separate',
      { backendData: { PublicKey: publicKey, Port: 1 } },
      `its PublicKey ${publicKey} is this node's own`,
    ],
    [
      'separate',
      { backendData: { PublicKey: keyOfNode(2), Port: 70_000 } },
      'its Port in backend-data is no UDP port',
    ],
    [
      'separate',
      { backendData: { PublicKey: keyOfNode(2), Port: '1' } },
      'its Port in backend-data is no UDP port',
    ],
  ])('in mode %s with %j is refused', (Mode, attributes, reason) => {
    expect(() => make(dual, { Mode }).planPeer(self, peer(2, attributes))).toThrow(reason);
  });

  test('without a subnet in one of the families is refused', () => {
    const { ipv6Subnet: _, ...half } = peer(2).lease;
    const single = make(dual, { Mode: 'auto' });
    expect(() => single.planPeer(self, { ...peer(2), lease: half })).toThrow('it has no IPv6 subnet');
  });
});
