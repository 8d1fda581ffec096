import { type KernelObject, ourProtocol } from '../kernel/object.ts';
import type { Address } from '../net/address.ts';
import type { Prefix } from '../net/prefix.ts';
import {
  type Backend,
  type External,
  type Peer,
  PeerRefusal,
  planEach,
  requireBackend,
  type Self,
} from './backend.ts';
import { BackendError } from './error.ts';
import type { Families } from './families.ts';

/** flannel's host-gw backend: a plain route to each peer through its own address, so all nodes share one network. */
export function hostGw(families: Families): Backend {
  return {
    type: 'host-gw',
    links: [],
    ownLinks: [],
    plansByRoutes: true,
    mtu: ({ mtu }) => mtu,
    ipv6Mtu: () => undefined,
    attributes: () => ({}),
    planNode({ external }) {
      refuseNat(external, families);
      return [];
    },
    planPeer(self, peer) {
      requireBackend('host-gw', peer);
      const { publicIP, publicIPv6 } = peer.lease.attributes;
      const { subnet, ipv6Subnet } = peer.lease;
      const halves: Half[] = [
        ...(families.ipv4 ? [{ family: 'IPv4', subnet, publicIP, metric: 0 } as const] : []),
        ...(families.ipv6
          ? [{ family: 'IPv6', subnet: ipv6Subnet, publicIP: publicIPv6, metric: 1024 } as const]
          : []),
      ];
      return planEach(halves, (half) => [planRoute(self, peer, half)]);
    },
  };
}

/** Peers send packets to the address of this node itself: there is no tunnel that could end elsewhere. */
function refuseNat({ name, address, publicIP, ipv6Address, publicIPv6 }: External, families: Families): void {
  const pairs = [
    ...(families.ipv4 ? [[address, publicIP]] : []),
    ...(families.ipv6 ? [[ipv6Address, publicIPv6]] : []),
  ];
  for (const [own, shown] of pairs) {
    if (shown === undefined || own === shown) continue;
    throw new BackendError(
      `backend host-gw: the public IP ${shown} is not the address ${own} of ${name}, and without a tunnel peers ` +
        'cannot reach this node through it: leave --public-ip out, or use vxlan',
    );
  }
}

interface Half {
  readonly family: 'IPv4' | 'IPv6';
  readonly subnet: Prefix | undefined;
  readonly publicIP: Address | undefined;
  readonly metric: number;
}

function planRoute({ external }: Self, { onLink }: Peer, half: Half): KernelObject {
  const { family, subnet, publicIP, metric } = half;
  if (subnet === undefined) throw new PeerRefusal(`it has no ${family} subnet`);
  if (publicIP === undefined) throw new PeerRefusal(`it has no public ${family} address`);
  if (!(family === 'IPv4' ? onLink.ipv4 : onLink.ipv6)) {
    throw new PeerRefusal(
      `its public address ${publicIP} is behind a router, and host-gw needs all nodes in one network: ` +
        'use vxlan, which with "DirectRouting" does the same where it can',
    );
  }
  return {
    kind: 'route',
    destination: subnet,
    metric,
    gateway: publicIP,
    link: external.name,
    onlink: false,
    protocol: ourProtocol,
  };
}
