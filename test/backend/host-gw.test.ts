import { describe, expect, test } from 'vitest';
import { hostGw } from '../../src/backend/host-gw.ts';
import { textOf } from '../../src/kernel/operation.ts';
import { address } from '../../src/net/address.ts';
import { external, peer, self } from './nodes.ts';

const backend = hostGw({ ipv4: true, ipv6: true });
const as = { backendType: 'host-gw' };

describe('host-gw', () => {
  test('has a plain route to each peer, through the interface to the others', () => {
    expect(backend.planPeer(self, peer(2, as, true)).map(textOf)).toEqual([
      'route 10.244.2.0/24 via 192.0.2.2 dev eth0',
      'route fd00:10:244:2::/64 via 2001:db8::2 dev eth0',
    ]);
  });

  test('has nothing of its own, tells nothing, and pods have the whole MTU', () => {
    expect(backend.planNode(self)).toEqual([]);
    expect(backend.links).toEqual([]);
    expect(backend.attributes(external, { macs: {} })).toEqual({});
    expect(backend.mtu(external)).toBe(1500);
    expect(backend.ipv6Mtu(external)).toBeUndefined();
  });

  test('refuses a peer behind a router, of another backend, or without an address', () => {
    expect(() => backend.planPeer(self, peer(2, as, false))).toThrow(
      'its public address 192.0.2.2 is behind a router, and host-gw needs all nodes in one network',
    );
    expect(() => backend.planPeer(self, peer(2, {}, true))).toThrow('its backend is "vxlan"');
    expect(() => backend.planPeer(self, peer(2, { ...as, publicIPv6: undefined as never }, true))).toThrow(
      'it has no public IPv6 address',
    );
  });

  test('refuses a public IP that is not the interface’s own', () => {
    const natted = { ...self, external: { ...external, publicIP: address('203.0.113.7') } };
    expect(() => backend.planNode(natted)).toThrow(
      'the public IP 203.0.113.7 is not the address 192.0.2.1 of eth0',
    );
    const natted6 = { ...self, external: { ...external, publicIPv6: address('2001:db8:7::7') } };
    expect(() => backend.planNode(natted6)).toThrow(
      'the public IP 2001:db8:7::7 is not the address 2001:db8::1 of eth0',
    );
  });
});
