import type { Family } from '../net/address.ts';
import * as k from '../netlink/constants.ts';
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
  const mustForward = (family: Family) =>
    (options.isGateway || options.isDefaultGateway) && has(family) && !forwarding[family];
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

/**
 * Held while the pod's end gets its addresses. With it the kernel makes no link-local address, which it would announce to all
 * ports of the bridge at once, while everybody else waits for RTNL.
 */
export const noLinkLocal = (ifname: string): Sysctl =>
  inPod(`ipv6/conf/${ifname}/addr_gen_mode`, k.IN6_ADDR_GEN_MODE_NONE);

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
