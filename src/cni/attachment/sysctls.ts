import type { Family } from '../../net/address.ts';
import * as k from '../../netlink/constants.ts';
import type { PortInput } from './attachment.ts';

/** A file below /proc/sys that netlink has no words for; who writes it must be inside that namespace. */
export interface Sysctl {
  where: 'pod' | 'host';
  /** Relative to /proc/sys. */
  path: string;
  value: string;
  /** Without it the attachment would not work; the others are courtesies, as in the reference. */
  required: boolean;
}

/** Between making the link and adding addresses: IPv6 may be off in the pod until then. */
export function sysctlsOf({ options, bridge, pod, families, forwarding }: PortInput): Sysctl[] {
  const has = (family: Family) => families.includes(family);
  const mustForward = (family: Family) => options.isGateway && has(family) && !forwarding[family];
  const ifname = pod.ifname;
  return [
    ...(bridge.adopted ? [] : [onHost(`ipv6/conf/${options.bridge}/accept_ra`, 0)]),
    ...(mustForward(4) ? [onHost('ipv4/ip_forward', 1, true)] : []),
    ...(mustForward(6) ? [onHost('ipv6/conf/all/forwarding', 1, true)] : []),
    ...(has(6)
      ? [
          inPod('ipv6/conf/lo/disable_ipv6', 0, true),
          inPod(`ipv6/conf/${ifname}/disable_ipv6`, 0, true),
          inPod(`ipv6/conf/${ifname}/keep_addr_on_down`, 1, true),
        ]
      : []),
    ...(options.enabledad ? [inPod(`ipv6/conf/${ifname}/enhanced_dad`, 1)] : []),
    inPod(`ipv6/conf/${ifname}/accept_dad`, Number(options.enabledad)),
  ];
}

/** A sysctl for which there is a better value as long as it has a certain one. */
export interface Exchange {
  sysctl: Sysctl;
  before: string;
}

/**
 * The kernel makes no link-local address yet, of which it would tell all ports of the bridge at once, while everybody else waits for
 * RTNL: see {@link linkLocal} in pod-end.ts. Only the one that comes of the MAC can be made later in its place.
 */
export function exchangesOf({ options, pod }: Pick<PortInput, 'options' | 'pod'>): Exchange[] {
  if (options.enabledad) return [];
  const path = `ipv6/conf/${pod.ifname}/addr_gen_mode`;
  return [{ sysctl: inPod(path, k.IN6_ADDR_GEN_MODE_NONE), before: String(k.IN6_ADDR_GEN_MODE_EUI64) }];
}

const inPod = (path: string, value: number, required = false): Sysctl => ({
  where: 'pod',
  path: `net/${path}`,
  value: String(value),
  required,
});

const onHost = (path: string, value: number, required = false): Sysctl => ({
  ...inPod(path, value, required),
  where: 'host',
});
