import * as v from 'valibot';
import { type KernelObject, ourProtocol } from '../kernel/object.ts';
import type { Lease, LeaseAttributes, PodNetwork } from '../lease/lease.ts';
import type { Address } from '../net/address.ts';
import { containsAddress, prefix, type Prefix, prefixAddress, prefixOf } from '../net/prefix.ts';
import { type Endpoint, endpointOf } from '../wireguard/endpoint.ts';
import { parsePublicKey, type PublicKey } from '../wireguard/key.ts';
import {
  type Backend,
  type External,
  PeerRefusal,
  planEach,
  requireBackend,
  type Self,
  type WireguardIdentity,
} from './backend.ts';
import { BackendError } from './error.ts';
import type { WireguardMode, WireguardOptions } from './wireguard-options.ts';

/** Bytes in front of a packet: IPv6 40, UDP 8, WireGuard 32. flannel counts them over IPv4 too. */
const overhead = 80;

/** flannel's devices: the second one for IPv6 in mode `separate`. */
const device = 'flannel-wg';
const device6 = 'flannel-wg-v6';

/** A family of the pod network, on its tunnel. */
interface Half {
  readonly family: 'IPv4' | 'IPv6';
  readonly network: Prefix;
  /** The kernel's, for a route that names none. */
  readonly metric: number;
  readonly singleLength: 32 | 128;
}

interface Tunnel {
  readonly device: string;
  readonly listenPort: number;
  readonly halves: readonly Half[];
}

/**
 * flannel's wireguard backend: tunnels, on each a route to the whole pod network, and a peer for each node. WireGuard itself
 * chooses the node by a packet's destination, and refuses what goes to a subnet that nobody has.
 */
export function wireguard(options: WireguardOptions, network: PodNetwork): Backend {
  const tunnels = tunnelsOf(options, network);
  const mtu = (external: External) => (options.mtu ?? external.mtu) - overhead;
  return {
    type: 'wireguard',
    links: [],
    ownLinks: [device, device6],
    mtu,
    ipv6Mtu: () => undefined,
    attributes(_external, identity) {
      const { publicKey } = wireguardOf(identity);
      const dataOf = (family: Half['family']) => {
        const tunnel = tunnels.find(({ halves }) => halves.some((half) => half.family === family));
        return tunnel && { PublicKey: publicKey, Port: tunnel.listenPort };
      };
      return { backendData: dataOf('IPv4'), backendV6Data: dataOf('IPv6') };
    },
    planNode: (self) => tunnels.flatMap((tunnel) => planTunnel(self, tunnel, mtu(self.external))),
    planPeer(self, peer) {
      requireBackend('wireguard', peer);
      return planEach(tunnels, (tunnel) => [planPeer(self, peer.lease, tunnel, options)]);
    },
  };
}

function tunnelsOf({ mode, listenPort, listenPortV6 }: WireguardOptions, network: PodNetwork): Tunnel[] {
  const halves = halvesOf(network);
  if (mode === 'separate') {
    return halves.map((half) =>
      half.family === 'IPv4'
        ? { device, listenPort, halves: [half] }
        : { device: device6, listenPort: listenPortV6, halves: [half] },
    );
  }
  const missing = mode === 'ipv4' && !network.ipv4 ? 'IPv4' : mode === 'ipv6' && !network.ipv6 ? 'IPv6' : '';
  if (missing !== '') {
    throw new BackendError(
      `net-conf.json: Backend.Mode is "${mode}", and the network has no ${missing}, so nodes do not tell each other ` +
        `their ${missing} addresses: enable ${missing}, or leave Mode out`,
    );
  }
  return [{ device, listenPort, halves }];
}

function halvesOf({ ipv4, ipv6 }: PodNetwork): Half[] {
  return [
    ...(ipv4 ? [{ family: 'IPv4', network: ipv4, metric: 0, singleLength: 32 } as const] : []),
    ...(ipv6 ? [{ family: 'IPv6', network: ipv6, metric: 1024, singleLength: 128 } as const] : []),
  ];
}

/** Throws a TypeError when this node lacks what the configuration promises: the daemon checks that before. */
function planTunnel({ lease, identity }: Self, tunnel: Tunnel, mtu: number): KernelObject[] {
  const { privateKey, userspace } = wireguardOf(identity);
  const { device: link, listenPort } = tunnel;
  return [
    { kind: 'link', name: link, mtu, info: { kind: 'wireguard', userspace } },
    { kind: 'wireguard', link, privateKey, listenPort, fwmark: 0 },
    ...tunnel.halves.flatMap((half): KernelObject[] => {
      const subnet = subnetOf(lease, half);
      if (subnet === undefined) throw new TypeError(`this node has no ${half.family} subnet`);
      const { network: destination, metric } = half;
      return [
        { kind: 'address', link, address: prefixOf(prefixAddress(subnet), half.singleLength) },
        { kind: 'route', destination, metric, link, onlink: false, protocol: ourProtocol },
      ];
    }),
  ];
}

function planPeer(self: Self, lease: Lease, tunnel: Tunnel, options: WireguardOptions): KernelObject {
  const { presharedKey, keepalive } = options;
  const allowedIPs = tunnel.halves.map((half) => {
    const subnet = subnetOf(lease, half);
    if (subnet === undefined) throw new PeerRefusal(`it has no ${half.family} subnet`);
    return subnet;
  });
  return {
    kind: 'wireguardPeer',
    link: tunnel.device,
    publicKey: publicKeyFrom(lease, tunnel, wireguardOf(self.identity)),
    ...(presharedKey && { presharedKey }),
    endpoint: endpointFor(self, lease, tunnel, options),
    allowedIPs: allowedIPs.toSorted(),
    keepalive,
  };
}

const subnetOf = (lease: Lease, { family }: Half): Prefix | undefined =>
  family === 'IPv4' ? lease.subnet : lease.ipv6Subnet;

/** How the backend's data of a family is called in the registry, and what it holds. */
function dataOf({ attributes }: Lease, family: Half['family']): { name: string; data: unknown } {
  return family === 'IPv4'
    ? { name: 'backend-data', data: attributes.backendData }
    : { name: 'backend-v6-data', data: attributes.backendV6Data };
}

const keyData = v.object({ PublicKey: v.string() });
const portData = v.object({ Port: v.nullish(v.number(), 0) });

/** A tunnel for both families has one key, which both families' data tell. */
function publicKeyFrom(lease: Lease, { halves }: Tunnel, own: WireguardIdentity): PublicKey {
  const sources = halves.map(({ family }) => dataOf(lease, family));
  for (const { name, data } of sources) {
    const parsed = v.safeParse(keyData, data);
    if (!parsed.success) continue;
    const text = parsed.output.PublicKey;
    const key = parsePublicKey(text);
    if (key === undefined) {
      throw new PeerRefusal(`its PublicKey ${JSON.stringify(text)} in ${name} is no WireGuard key`);
    }
    if (key === own.publicKey) throw new PeerRefusal(`its PublicKey ${key} is this node's own`);
    return key;
  }
  const names = sources.map(({ name }) => name).join(' and ');
  throw new PeerRefusal(`its ${names} ${sources.length === 1 ? 'has' : 'have'} no PublicKey`);
}

function endpointFor(self: Self, lease: Lease, tunnel: Tunnel, options: WireguardOptions): Endpoint {
  const [{ family } = { family: 'IPv4' as const }] = tunnel.halves;
  const over =
    options.mode === 'separate' ? family : outerFamily(options.mode, self.external, lease.attributes);
  const { publicIP, publicIPv6 } = lease.attributes;
  const address = over === 'IPv4' ? publicIP : publicIPv6;
  if (address === undefined) throw new PeerRefusal(`it has no public ${over} address`);
  return endpointOf(address, portOf(lease, tunnel, options));
}

/** A port that is missing is ours: so peers of before flannel told it. */
function portOf(lease: Lease, { halves, listenPort }: Tunnel, options: WireguardOptions): number {
  const [{ family } = { family: 'IPv4' as const }] = halves;
  const { name, data } = dataOf(lease, family);
  const parsed = v.safeParse(portData, data ?? {});
  const port = parsed.success ? parsed.output.Port : Number.NaN;
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new PeerRefusal(`its Port in ${name} is no UDP port`);
  }
  // With a single tunnel Go flannel tells ListenPortV6 for IPv6, where nothing listens.
  const isSlip = options.mode !== 'separate' && family === 'IPv6' && port === options.listenPortV6;
  return port === 0 || isSlip ? listenPort : port;
}

const privateNetworks = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'].map(prefix);
const isPrivate = (address: Address) => privateNetworks.some((network) => containsAddress(network, address));
const isUniqueLocal = (address: Address) => containsAddress(prefix('fc00::/7'), address);

/** As Go flannel chooses in mode `auto`: the family in which both ends are reached from everywhere, IPv4 in doubt. */
function outerFamily(mode: WireguardMode, external: External, peer: LeaseAttributes): Half['family'] {
  if (mode !== 'auto') return mode === 'ipv6' ? 'IPv6' : 'IPv4';
  const { publicIP: remote, publicIPv6: remote6 } = peer;
  const own = external.publicIP ?? external.address;
  const own6 = external.publicIPv6 ?? external.ipv6Address;
  if (remote6 === undefined) return 'IPv4';
  if (remote === undefined || own === undefined) return 'IPv6';
  if (!isPrivate(remote)) return 'IPv4';
  return own6 !== undefined && !isUniqueLocal(remote6) && !isUniqueLocal(own6) ? 'IPv6' : 'IPv4';
}

function wireguardOf({ wireguard: own }: Self['identity']): WireguardIdentity {
  if (own === undefined) throw new TypeError('this node has no WireGuard key');
  return own;
}
