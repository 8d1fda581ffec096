import type { External, Peer, Self } from '../../src/backend/backend.ts';
import type { LeaseAttributes } from '../../src/lease/lease.ts';
import { address } from '../../src/net/address.ts';
import { type Mac, mac } from '../../src/net/mac.ts';
import { prefix } from '../../src/net/prefix.ts';

export const external: External = {
  name: 'eth0',
  mtu: 1500,
  address: address('192.0.2.1'),
  ipv6Address: address('2001:db8::1'),
  publicIP: address('192.0.2.1'),
  publicIPv6: address('2001:db8::1'),
};

/** The MAC of a node's device in a family. */
export const macOf = (node: number, family: 4 | 6): Mac =>
  mac(
    `02:00:00:0${family}:${(node >> 8).toString(16).padStart(2, '0')}:${(node & 255).toString(16).padStart(2, '0')}`,
  );

export const self: Self = {
  lease: {
    id: 'node-1',
    subnet: prefix('10.244.1.0/24'),
    ipv6Subnet: prefix('fd00:10:244:1::/64'),
    attributes: { backendType: 'vxlan' },
  },
  external,
  identity: { macs: { 'flannel.1': macOf(1, 4), 'flannel-v6.1': macOf(1, 6) } },
};

/** Node `n` of a cluster, as its lease says; `attributes` overrides. */
export function peer(n: number, attributes: Partial<LeaseAttributes> = {}, onLink = false): Peer {
  return {
    onLink: { ipv4: onLink, ipv6: onLink },
    lease: {
      id: `node-${n}`,
      subnet: prefix(`10.${(244 + (n >> 8)) % 256}.${n & 255}.0/24`),
      ipv6Subnet: prefix(`fd00:10:244:${n.toString(16)}::/64`),
      attributes: {
        backendType: 'vxlan',
        publicIP: address(`192.0.${2 + (n >> 8)}.${n & 255}`),
        publicIPv6: address(`2001:db8::${n.toString(16)}`),
        backendData: { VNI: 1, VtepMAC: macOf(n, 4) },
        backendV6Data: { VNI: 1, VtepMAC: macOf(n, 6) },
        ...attributes,
      },
    },
  };
}
