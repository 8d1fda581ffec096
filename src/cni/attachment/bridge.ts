import type { Range } from '../../ipam/range.ts';
import { linkLocalAddress } from '../../net/link-local.ts';
import type { Mac } from '../../net/mac.ts';
import {
  lastAddress,
  overlaps,
  type Prefix,
  prefixAddress,
  prefixFamily,
  prefixLength,
  prefixOf,
} from '../../net/prefix.ts';
import * as k from '../../netlink/constants.ts';
import type { AddressWrite } from '../../netlink/route/address.ts';
import type { AddressInput, BridgeOptions, GatewayLink, PlannedAddress, VethInput } from './attachment.ts';
import type { Step } from './step.ts';
import { hasVlans } from './vlan.ts';

/** Makes the bridge, with a MAC of its own: one that it borrows from a port would change with the ports. */
export function bridgeStep(options: BridgeOptions, mac: Mac): Step {
  const { bridge, mtu } = options;
  const IFLA_INFO_DATA = hasVlans(options) ? { IFLA_BR_VLAN_FILTERING: 1 } : undefined;
  return {
    message: 'newLink',
    flags: k.NLM_F_CREATE | k.NLM_F_EXCL,
    tolerate: 'EEXIST',
    value: {
      ifi_flags: k.IFF_UP,
      ifi_change: k.IFF_UP,
      IFLA_IFNAME: bridge,
      IFLA_ADDRESS: mac,
      ...(mtu > 0 && { IFLA_MTU: mtu }),
      IFLA_LINKINFO: { IFLA_INFO_KIND: 'bridge', IFLA_INFO_DATA },
    },
  };
}

/** Brings the bridge up, makes it promiscuous, pins its MAC: only what it is not yet. */
export function readySteps({ bridge, options }: Pick<VethInput, 'bridge' | 'options'>): Step[] {
  const steps: Step[] = [];
  const set = (flag: number): Step => ({
    message: 'setLink',
    value: { ifi_index: bridge.ifindex, ifi_flags: flag, ifi_change: flag },
  });
  if (!bridge.up) steps.push(set(k.IFF_UP));
  if (options.promiscMode && !bridge.promisc) steps.push(set(k.IFF_PROMISC));
  if (!bridge.adopted) {
    steps.push({ message: 'setLink', value: { ifi_index: bridge.ifindex, IFLA_ADDRESS: bridge.mac } });
  }
  return steps;
}

/** Whether nothing is to be done to the bridge, whatever address comes out of these ranges. */
export function isReady(
  input: Pick<VethInput, 'bridge' | 'options'>,
  ranges: readonly Pick<Range, 'gateway' | 'subnet'>[],
): boolean {
  const { bridge, options } = input;
  if (!bridge.adopted || hasVlans(options) || readySteps(input).length > 0) return false;
  const ips = ranges.map(({ gateway, subnet }) => ({ address: subnet, gateway }));
  return missingGateways({ gateway: bridge, options }, ips).length === 0;
}

/** The gateways as they are to be, with their subnets' lengths, that the link has not got. */
function missingGateways(
  { gateway: { addresses }, options }: { gateway: Pick<GatewayLink, 'addresses'>; options: BridgeOptions },
  ips: readonly PlannedAddress[],
): Prefix[] {
  if (!options.isGateway) return [];
  return ips
    .flatMap(({ address, gateway }) =>
      gateway === undefined ? [] : prefixOf(gateway, prefixLength(address)),
    )
    .filter((wanted) => !addresses.includes(wanted));
}

/**
 * Puts the gateways on the bridge, or on the VLAN's own link. Another IPv4 address there, or an IPv6 address of an overlapping subnet,
 * is replaced when `forceAddress` says so, and an Error otherwise.
 */
export function gatewaySteps(
  input: Pick<AddressInput, 'gateway' | 'options'>,
  ips: readonly PlannedAddress[],
): Step[] {
  const { gateway: link, options } = input;
  return missingGateways(input, ips).flatMap((wanted) => {
    const inTheWay = link.addresses.filter((other) => conflicts(other, wanted));
    if (inTheWay.length > 0 && !options.forceAddress) {
      throw new Error(
        `"${link.name}" already has an IP address different from ${wanted}: it has ${inTheWay.join(', ')}; ` +
          'remove that address, or set "forceAddress": true in the delegate',
      );
    }
    const removals = inTheWay.map(
      (other): Step => ({
        message: 'delAddress',
        tolerate: 'EADDRNOTAVAIL',
        value: addressWrite(other, link.ifindex),
      }),
    );
    return [...removals, addressStep(wanted, link.ifindex, options.enabledad, 'EEXIST')];
  });
}

/**
 * Packets for pods wait until the node has asked who has the pod's address, and it asks from the link-local one. The kernel's own
 * would be tentative for up to two seconds after the bridge got its first port; the same one without that test is there before.
 */
export function linkLocalSteps(
  input: Pick<AddressInput, 'gateway' | 'options'>,
  ips: readonly PlannedAddress[],
): Step[] {
  const isToAsk = missingGateways(input, ips).some((wanted) => prefixFamily(wanted) === 6);
  if (!isToAsk || input.options.enabledad) return [];
  const { mac, ifindex } = input.gateway;
  return [addressStep(prefixOf(linkLocalAddress(mac), 64), ifindex, false, 'EEXIST')];
}

/** Every other IPv4 address, but of IPv6 only those of the same network: a link has several of these. */
function conflicts(other: Prefix, wanted: Prefix): boolean {
  if (prefixFamily(other) !== prefixFamily(wanted)) return false;
  return prefixFamily(wanted) === 4 || overlaps(other, wanted);
}

/** Adds an address, an IPv6 one ready for use at once unless duplicate address detection is wanted. */
export function addressStep(address: Prefix, ifindex: number, enabledad: boolean, tolerate?: 'EEXIST'): Step {
  const value = addressWrite(address, ifindex);
  if (prefixFamily(address) === 4) {
    if (prefixLength(address) < 31) value.IFA_BROADCAST = lastAddress(address);
  } else if (!enabledad) value.IFA_FLAGS = k.IFA_F_NODAD;
  return {
    message: 'newAddress',
    flags: k.NLM_F_CREATE | k.NLM_F_EXCL,
    ...(tolerate && { tolerate }),
    value,
  };
}

function addressWrite(address: Prefix, ifindex: number): AddressWrite {
  return {
    ifa_family: prefixFamily(address) === 4 ? k.AF_INET : k.AF_INET6,
    ifa_prefixlen: prefixLength(address),
    ifa_index: ifindex,
    IFA_LOCAL: prefixAddress(address),
    IFA_ADDRESS: prefixAddress(address),
  };
}
