import type { Address, Family } from '../net/address.ts';
import type { Mac } from '../net/mac.ts';
import type { Prefix } from '../net/prefix.ts';
import { gatewaySteps, readySteps } from './attachment-bridge.ts';
import { podSteps } from './attachment-pod.ts';
import { type Addressing, completeAddressing } from './attachment-routes.ts';
import type { Step } from './attachment-step.ts';
import { type Sysctl, sysctlsOf } from './attachment-sysctls.ts';
import { vethSteps } from './attachment-veth.ts';
import { vlanSteps } from './attachment-vlan.ts';
import type { VlanOptions } from './vlan-configuration.ts';

/** The reference bridge's configuration, after its own names and defaults. */
export interface BridgeOptions extends VlanOptions {
  bridge: string;
  isGateway: boolean;
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
  /** Its MAC is pinned and it ignores router advertisements: done by us before, in this process. */
  adopted: boolean;
}

/** The link that has the pods' gateways. */
export interface GatewayLink {
  name: string;
  ifindex: number;
  mac: Mac;
  addresses: readonly Prefix[];
}

export interface AttachmentInput {
  options: BridgeOptions;
  bridge: BridgeState;
  /** Where the gateways are: the bridge itself, except with a VLAN. */
  gateway: GatewayLink;
  ips: readonly PlannedAddress[];
  routes: readonly PlannedRoute[];
  /** The pod's end: name, MAC, and the namespace by descriptor. */
  pod: { ifname: string; mac: Mac; netnsFd: number };
  /** The node's end. */
  host: { name: string; mac: Mac };
  /** Whether the node forwards already, by family. */
  forwarding: Readonly<Record<Family, boolean>>;
  /** The MTU of what carries IPv6 traffic to other nodes, where it is smaller than the pod's. */
  ipv6RouteMtu?: number | undefined;
}

/** All that an ADD does to the kernel, in the order in which it does it. */
export interface AttachmentPlan extends Addressing {
  /** For a socket in the node's namespace: the bridge's state, then the veth pair, born in place. */
  host: readonly Step[];
  /** For the same socket, when the node's end has got its index: the port's VLANs. */
  port(ifindex: number): readonly Step[];
  sysctls: readonly Sysctl[];
  /** For a socket in the pod's namespace, where the link has got the index that is given. */
  pod(ifindex: number): readonly Step[];
}

/**
 * Plans an attachment as the reference bridge plugin 1.9 would make it: same links, settings, addresses
 * and routes. Throws an Error when the bridge has a gateway address other than the wanted one.
 */
export function planAttachment(input: AttachmentInput): AttachmentPlan {
  const addressing = completeAddressing(input);
  return {
    ...addressing,
    host: [...readySteps(input), ...gatewaySteps(input, addressing.ips), ...vethSteps(input, addressing.ips)],
    port: (ifindex) => vlanSteps(input.options, input.bridge, ifindex),
    sysctls: sysctlsOf(input, addressing.ips),
    pod: (ifindex) => podSteps(input, addressing, ifindex),
  };
}
