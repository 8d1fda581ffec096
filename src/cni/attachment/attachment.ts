import type { Address, Family } from '../../net/address.ts';
import type { Mac } from '../../net/mac.ts';
import type { Prefix } from '../../net/prefix.ts';
import type { Request } from '../../netlink/message.ts';
import { gatewaySteps, linkLocalSteps, readySteps } from './bridge.ts';
import { addressSteps, announcements, upStep } from './pod-end.ts';
import { type Addressing, completeAddressing } from './routes.ts';
import type { Step } from './step.ts';
import { type Exchange, exchangesOf, type Sysctl, sysctlsOf } from './sysctls.ts';
import { portSteps, staleNeighbourSteps } from './veth.ts';
import { vlanSteps } from './vlan.ts';
import type { VlanOptions } from '../configuration/vlans.ts';

/**
 * The reference bridge's configuration, after its own names and defaults. All that is planned here becomes what its version 1.9
 * would make of it: same links, settings, addresses and routes.
 */
export interface BridgeOptions extends VlanOptions {
  bridge: string;
  isGateway: boolean;
  /** Which makes it a gateway too. */
  isDefaultGateway: boolean;
  forceAddress: boolean;
  /** 0: the kernel's default. Given to the veth pair, and to the bridge when it is made. */
  mtu: number;
  hairpinMode: boolean;
  promiscMode: boolean;
  portIsolation: boolean;
  /** Leave IPv6's duplicate address detection on. */
  enabledad: boolean;
}

/** A route of the IPAM configuration, as in a CNI result. */
export interface PlannedRoute {
  dst: Prefix;
  gw?: Address | undefined;
  mtu?: number | undefined;
  advmss?: number | undefined;
  priority?: number | undefined;
  table?: number | undefined;
  scope?: number | undefined;
}

/** What IPAM hands out: the address carries the length of its subnet. */
export interface PlannedAddress {
  address: Prefix;
  gateway?: Address | undefined;
}

/** The bridge as it is in the kernel. */
export interface BridgeState {
  ifindex: number;
  mac: Mac;
  mtu: number;
  up: boolean;
  promisc: boolean;
  /** The VLAN that new ports are in, 0: none. Undefined: the kernel's bridges know no VLANs. */
  defaultPvid: number | undefined;
  addresses: readonly Prefix[];
}

/** The same with what this process knows of it. */
export interface Bridge extends BridgeState {
  /** Its MAC is pinned and it ignores router advertisements: we have done that before. */
  adopted: boolean;
}

/** The link that has the pods' gateways. */
export interface GatewayLink {
  name: string;
  ifindex: number;
  mac: Mac;
  addresses: readonly Prefix[];
}

export interface VethInput {
  options: BridgeOptions;
  bridge: Bridge;
  /** The pod's end: name, MAC, and the namespace by descriptor. */
  pod: { ifname: string; mac: Mac; netnsFd: number };
  /** The node's end. */
  host: { name: string; mac: Mac };
}

export interface PortInput extends VethInput {
  /** Of the addresses that the pod is going to have. */
  families: readonly Family[];
  /** Whether the node forwards already, by family; undefined for one that it does not have. */
  forwarding: Readonly<Record<Family, boolean | undefined>>;
}

/** What becomes of the pair then, for which no address need be known. */
export interface PortPlan {
  sysctls: readonly Sysctl[];
  /** Before the pod's end is up. */
  exchanges: readonly Exchange[];
  /** For a socket in the node's namespace. */
  port: readonly Step[];
  /** The same, when the node's end has got its index: the port's VLANs. */
  vlans(ifindex: number): readonly Step[];
  /** For a socket in the pod's namespace, where the link has got the index that is given. */
  pod(ifindex: number): readonly Step[];
}

export function planPort(input: PortInput): PortPlan {
  return {
    sysctls: sysctlsOf(input),
    exchanges: exchangesOf(input),
    port: portSteps(input),
    vlans: (ifindex) => vlanSteps(input.options, input.bridge, ifindex),
    pod: (ifindex) => [upStep(ifindex)],
  };
}

export interface AddressInput {
  options: BridgeOptions;
  bridge: Bridge;
  /** Where the gateways are: the bridge itself, except with a VLAN. */
  gateway: GatewayLink;
  ips: readonly PlannedAddress[];
  routes: readonly PlannedRoute[];
  /** The MTU of what carries IPv6 traffic to other nodes, where it is smaller than the pod's. */
  ipv6RouteMtu?: number | undefined;
}

/** What it takes until the pod can use its addresses. */
export interface AddressPlan extends Addressing {
  /** For a socket in the node's namespace: the bridge, as it must be before it gets its first port. */
  bridge: readonly Step[];
  /** For the same socket, when the links are made: whoever gets none changes no address of the bridge. */
  host: readonly Step[];
  /** For a socket in the pod's namespace, where the link has got the index that is given. */
  pod(ifindex: number): readonly Step[];
  /** For the same socket, afterwards, and for nobody to wait for. */
  announcements(ifindex: number): readonly Request[];
}

/** Throws an Error when the bridge has a gateway address other than the wanted one. */
export function planAddresses(input: AddressInput): AddressPlan {
  const addressing = completeAddressing(input);
  return {
    ...addressing,
    bridge: [...readySteps(input), ...linkLocalSteps(input, addressing.ips)],
    host: [...gatewaySteps(input, addressing.ips), ...staleNeighbourSteps(input.bridge, addressing.ips)],
    pod: (ifindex) => addressSteps(input, addressing, ifindex),
    announcements: (ifindex) => announcements(input.options, addressing.ips, ifindex),
  };
}
