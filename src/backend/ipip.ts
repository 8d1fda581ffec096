import { ourProtocol } from '../kernel/object.ts';
import { prefixAddress, prefixOf } from '../net/prefix.ts';
import { type Backend, type External, PeerRefusal, requireBackend } from './backend.ts';
import { BackendError } from './error.ts';
import type { Families } from './families.ts';
import type { IpipOptions } from './ipip-options.ts';

export const ipipDevice = 'flannel.ipip';
/** Bytes of the outer IPv4 header. */
const overhead = 20;

/**
 * flannel's ipip backend: packets go from node to node inside of IPv4 packets, through one device without a remote end;
 * the gateway of each peer's route is its public IP. IPv4 alone, as in Go flannel, which passes IPv6 over without a
 * word. Throws a {@link BackendError}.
 */
export function ipip({ directRouting }: IpipOptions, families: Families): Backend {
  if (families.ipv6) {
    throw new BackendError(
      'net-conf.json: Backend.Type is "ipip", which carries IPv4 alone: set EnableIPv6 to false, ' +
        'or use "vxlan", which carries both',
    );
  }
  const mtu = (external: External) => external.mtu - overhead;
  return {
    type: 'ipip',
    links: [],
    ownLinks: [ipipDevice],
    plansByRoutes: directRouting,
    mtu,
    ipv6Mtu: () => undefined,
    attributes: () => ({}),
    planNode({ lease: { subnet }, external }) {
      const { name, address } = external;
      if (address === undefined) throw new TypeError(`${name} has no IPv4 address`);
      if (subnet === undefined) throw new TypeError('this node has no IPv4 subnet');
      return [
        // Its own address, not the public IP: that may be another's, and packets must come from this node.
        { kind: 'link', name: ipipDevice, mtu: mtu(external), info: { kind: 'ipip', local: address } },
        { kind: 'address', link: ipipDevice, address: prefixOf(prefixAddress(subnet), 32) },
      ];
    },
    planPeer({ external }, peer) {
      requireBackend('ipip', peer);
      const { subnet, attributes } = peer.lease;
      if (subnet === undefined) throw new PeerRefusal('it has no IPv4 subnet');
      if (attributes.publicIP === undefined) throw new PeerRefusal('it has no public IPv4 address');
      return [
        {
          kind: 'route',
          destination: subnet,
          metric: 0,
          gateway: attributes.publicIP,
          link: directRouting && peer.onLink.ipv4 ? external.name : ipipDevice,
          onlink: true,
          protocol: ourProtocol,
        },
      ];
    },
  };
}
