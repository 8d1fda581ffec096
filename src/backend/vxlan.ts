import * as v from 'valibot';
import { type KernelObject, type Link, ourProtocol } from '../kernel/object.ts';
import type { Lease } from '../lease/lease.ts';
import type { Address } from '../net/address.ts';
import { isUnicastMac, type Mac, parseMac } from '../net/mac.ts';
import { type Prefix, prefixAddress, prefixOf } from '../net/prefix.ts';
import {
  type Backend,
  type External,
  type Peer,
  PeerRefusal,
  planEach,
  requireBackend,
  type Self,
} from './backend.ts';
import type { Families } from './families.ts';
import type { VxlanOptions } from './vxlan-options.ts';

/** Bytes in front of a packet: Ethernet 14, IPv4 20 or IPv6 40, UDP 8, VXLAN 8. */
const overhead = 50;
const ipv6Overhead = 70;

/** One family's half of everything. */
interface Half {
  readonly family: 'IPv4' | 'IPv6';
  readonly device: string;
  /** What the kernel takes off the underlay's MTU. */
  readonly overhead: number;
  readonly singleLength: 32 | 128;
  /** The kernel's, for a route that names none. */
  readonly metric: number;
  subnet(lease: Lease): Prefix | undefined;
  publicIP(lease: Lease): Address | undefined;
  data(lease: Lease): unknown;
  /** What that is called in a Node's annotations. */
  readonly dataName: string;
  local(external: External): Address | undefined;
  onLink(peer: Peer): boolean;
}

/** flannel's vxlan backend: one device a family, on it a neighbour, an FDB entry and a route for each peer. */
export function vxlan(options: VxlanOptions, families: Families): Backend {
  const halves = halvesOf(options.vni, families);
  const outerMtu = (external: External) => options.mtu ?? external.mtu;
  // The kernel cuts a larger one down without a word, and a desired one that it never takes would differ for ever.
  const deviceMtu = (external: External, half: Half) =>
    Math.min(outerMtu(external) - overhead, external.mtu - half.overhead);
  const mtu = (external: External) => outerMtu(external) - overhead;
  return {
    type: 'vxlan',
    links: halves.map(({ device }) => device),
    ownLinks: vxlanDevices(options.vni),
    plansByRoutes: options.directRouting,
    mtu,
    ipv6Mtu(external) {
      const half = halves.find(({ family }) => family === 'IPv6');
      const real = half === undefined ? mtu(external) : deviceMtu(external, half);
      return real < mtu(external) ? real : undefined;
    },
    attributes(_external, identity) {
      const dataOf = (half: Half | undefined) =>
        half === undefined ? undefined : { VNI: options.vni, VtepMAC: identity.macs[half.device] };
      return {
        backendData: dataOf(halves.find(({ family }) => family === 'IPv4')),
        backendV6Data: dataOf(halves.find(({ family }) => family === 'IPv6')),
      };
    },
    planNode: (self) =>
      halves.flatMap((half) => planDevice(self, half, options, deviceMtu(self.external, half))),
    planPeer(self, peer) {
      requireBackend('vxlan', peer);
      return planEach(halves, (half) => planHalf(self, peer, half, options));
    },
  };
}

/** Names of the devices, also of the family that the network does not have. */
const vxlanDevices = (vni: number): readonly string[] => [`flannel.${vni}`, `flannel-v6.${vni}`];

function halvesOf(vni: number, { ipv4, ipv6 }: Families): Half[] {
  const [device = '', device6 = ''] = vxlanDevices(vni);
  const halves: Half[] = [];
  if (ipv4) {
    halves.push({
      family: 'IPv4',
      device,
      overhead,
      singleLength: 32,
      metric: 0,
      subnet: ({ subnet }) => subnet,
      publicIP: ({ attributes }) => attributes.publicIP,
      data: ({ attributes }) => attributes.backendData,
      dataName: 'backend-data',
      local: ({ publicIP, address }) => publicIP ?? address,
      onLink: (peer) => peer.onLink.ipv4,
    });
  }
  if (ipv6) {
    halves.push({
      family: 'IPv6',
      device: device6,
      overhead: ipv6Overhead,
      singleLength: 128,
      metric: 1024,
      subnet: ({ ipv6Subnet }) => ipv6Subnet,
      publicIP: ({ attributes }) => attributes.publicIPv6,
      data: ({ attributes }) => attributes.backendV6Data,
      dataName: 'backend-v6-data',
      local: ({ publicIPv6, ipv6Address }) => publicIPv6 ?? ipv6Address,
      onLink: (peer) => peer.onLink.ipv6,
    });
  }
  return halves;
}

/** Throws a TypeError when this node lacks what the configuration promises: the daemon checks that before. */
function planDevice({ lease, external, identity }: Self, half: Half, options: VxlanOptions, mtu: number) {
  const local = half.local(external);
  const subnet = half.subnet(lease);
  if (local === undefined) throw new TypeError(`${external.name} has no ${half.family} address`);
  if (subnet === undefined) throw new TypeError(`this node has no ${half.family} subnet`);
  const mac = identity.macs[half.device];
  const link: Link = {
    kind: 'link',
    name: half.device,
    mtu,
    ...(mac === undefined ? {} : { mac }),
    info: {
      kind: 'vxlan',
      vni: options.vni,
      lower: external.name,
      local,
      port: options.port,
      learning: options.learning,
      gbp: options.gbp,
    },
  };
  const address = prefixOf(prefixAddress(subnet), half.singleLength);
  return [link, { kind: 'address', link: half.device, address } as const];
}

function planHalf(self: Self, peer: Peer, half: Half, options: VxlanOptions): KernelObject[] {
  const { lease } = peer;
  const subnet = half.subnet(lease);
  if (subnet === undefined) throw new PeerRefusal(`it has no ${half.family} subnet`);
  const publicIP = half.publicIP(lease);
  if (publicIP === undefined) throw new PeerRefusal(`it has no public ${half.family} address`);
  const route = { kind: 'route', destination: subnet, metric: half.metric, protocol: ourProtocol } as const;
  if (options.directRouting && half.onLink(peer)) return [{ ...route, gateway: publicIP, onlink: false }];
  const gateway = prefixAddress(subnet);
  const mac = macOf(half, lease, self);
  const objects: KernelObject[] = [
    { kind: 'neighbour', link: half.device, address: gateway, mac },
    { kind: 'fdb', link: half.device, mac, remote: publicIP },
    { ...route, gateway, link: half.device, onlink: true },
  ];
  // Go flannel never looks at the VNI, so the peer is joined like any other; but what is wrong has a name.
  const vni = vniOf(half, lease);
  if (vni === undefined || vni === options.vni) return objects;
  throw new PeerRefusal(
    `its VNI in ${half.dataName} is ${vni}, and this node's is ${options.vni}, so packets of the one are dropped by the ` +
      'other: set the same VNI in net-conf.json on all nodes',
    objects,
  );
}

const announcedVni = v.object({ VNI: v.number() });

const vniOf = (half: Half, lease: Lease): number | undefined => {
  const parsed = v.safeParse(announcedVni, half.data(lease));
  return parsed.success ? parsed.output.VNI : undefined;
};

const backendData = v.object({ VtepMAC: v.string() });

function macOf(half: Half, lease: Lease, { identity }: Self): Mac {
  const key = half.dataName;
  const parsed = v.safeParse(backendData, half.data(lease));
  const text = parsed.success ? parsed.output.VtepMAC : undefined;
  if (text === undefined) throw new PeerRefusal(`its ${key} has no VtepMAC`);
  const mac = parseMac(text);
  if (mac === undefined)
    throw new PeerRefusal(`its VtepMAC ${JSON.stringify(text)} in ${key} is no MAC address`);
  if (!isUnicastMac(mac))
    throw new PeerRefusal(`its VtepMAC ${mac} in ${key} is no address of a single device`);
  if (mac === identity.macs[half.device]) throw new PeerRefusal(`its VtepMAC ${mac} is this node's own`);
  return mac;
}
