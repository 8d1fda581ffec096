import { describe, expect, test } from 'vitest';
import { BackendError } from '../../src/backend/error.ts';
import { ipip } from '../../src/backend/ipip.ts';
import { textOf } from '../../src/kernel/operation.ts';
import { address } from '../../src/net/address.ts';
import { external, peer, self } from './nodes.ts';

const ipv4 = { ipv4: true, ipv6: false };
const backend = ipip({ directRouting: false }, ipv4);
const as = { backendType: 'ipip' };

describe('ipip', () => {
  test('has a device with the interface’s address as its source, whatever the public IP is', () => {
    const natted = { ...self, external: { ...external, publicIP: address('203.0.113.7') } };
    for (const node of [self, natted]) {
      expect(backend.planNode(node).map(textOf)).toEqual([
        'link flannel.ipip mtu 1480 ipip local 192.0.2.1',
        'address 10.244.1.0/32 dev flannel.ipip',
      ]);
    }
    expect(backend.mtu(external)).toBe(1480);
  });

  test('leads to a peer through the device, by its public IP', () => {
    for (const onLink of [true, false]) {
      expect(backend.planPeer(self, peer(2, as, onLink)).map(textOf)).toEqual([
        'route 10.244.2.0/24 via 192.0.2.2 dev flannel.ipip onlink',
      ]);
    }
  });

  test('with direct routing leads to a peer without a router between through the interface', () => {
    const direct = ipip({ directRouting: true }, ipv4);
    expect(direct.planPeer(self, peer(2, as, true)).map(textOf)).toEqual([
      'route 10.244.2.0/24 via 192.0.2.2 dev eth0 onlink',
    ]);
    expect(direct.planPeer(self, peer(2, as, false)).map(textOf)).toEqual([
      'route 10.244.2.0/24 via 192.0.2.2 dev flannel.ipip onlink',
    ]);
  });

  test('tells peers nothing, and needs no MAC address', () => {
    expect(backend.attributes(external, { macs: {} })).toEqual({});
    expect(backend.links).toEqual([]);
  });

  test('refuses a network with IPv6, and peers of another backend or without an address', () => {
    for (const families of [
      { ipv4: true, ipv6: true },
      { ipv4: false, ipv6: true },
    ]) {
      expect(() => ipip({ directRouting: false }, families)).toThrow(BackendError);
    }
    expect(() => backend.planPeer(self, peer(2))).toThrow(
      'its backend is "vxlan", and this node\'s is "ipip"',
    );
    expect(() => backend.planPeer(self, peer(2, { ...as, publicIP: undefined as never }))).toThrow(
      'it has no public IPv4 address',
    );
  });
});
