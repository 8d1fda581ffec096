import type { Family } from '../../net/address.ts';

/** A file below /proc/sys, by the name that sysctl(8) gives it. */
export interface Sysctl {
  readonly name: string;
  readonly value: string;
}

/** What of the host decides whether packets of pods find their way. A sysctl that is not there is undefined. */
export interface HostState {
  /** Of the flannel network. */
  readonly families: readonly Family[];
  /** The interface for traffic between nodes. */
  readonly external: string;
  /** Links with a default route from router advertisements; RTPROT_RA. */
  readonly routers: readonly string[];
  /** There is an IPv6 default route, wherever it came from. */
  readonly hasIPv6Default: boolean;
  readonly sysctl: (name: string) => string | undefined;
}

export interface HostPlan {
  /** In this order. */
  readonly writes: readonly Sysctl[];
  /** Findings for people, each with what mends it. */
  readonly warnings: readonly string[];
}

const forwardingSysctl: Readonly<Record<Family, string>> = {
  4: 'net.ipv4.ip_forward',
  6: 'net.ipv6.conf.all.forwarding',
};

/** There with the module br_netfilter alone. */
export const bridgeSysctl: Readonly<Record<Family, string>> = {
  4: 'net.bridge.bridge-nf-call-iptables',
  6: 'net.bridge.bridge-nf-call-ip6tables',
};

const acceptRa = (link: string): string => `net.ipv6.conf.${link.replaceAll('.', '/')}.accept_ra`;

/**
 * What to write and what to say, so that this node forwards and keeps its way out. A kernel that forwards IPv6 drops the
 * default routes that came from router advertisements, at once, and takes no new ones, unless accept_ra of the
 * link is 2: so that comes first, or, without leave to set it, forwarding is left to whoever switches it on.
 */
export function planHost(state: HostState, manageAcceptRa: boolean): HostPlan {
  const { families, sysctl } = state;
  const deaf = families.includes(6) ? deafLinks(state) : [];
  const heard = manageAcceptRa ? deaf.map((link) => ({ name: acceptRa(link), value: '2' })) : [];
  const spared = deaf.length > 0 && !manageAcceptRa ? 6 : undefined;
  const forwarding = families
    .filter((family) => sysctl(forwardingSysctl[family]) === '0' && family !== spared)
    .map((family) => ({ name: forwardingSysctl[family], value: '1' }));
  return {
    writes: [...heard, ...forwarding],
    warnings: [
      ...(manageAcceptRa ? [] : deaf.map((link) => deafWarning(state, link))),
      ...families.flatMap((family, i) => bridgeWarning(family, sysctl, i > 0)),
    ],
  };
}

/** Links whose router will not be heard once this node forwards, or is not heard already. */
function deafLinks({ external, routers, hasIPv6Default, sysctl }: HostState): string[] {
  const lost = !hasIPv6Default && sysctl(forwardingSysctl[6]) === '1';
  const links = new Set([...routers, ...(lost ? [external] : [])]);
  // 0: a program in userspace takes advertisements, or nobody; 2: the kernel takes them in any case.
  return [...links].filter((link) => sysctl(acceptRa(link)) === '1');
}

function deafWarning({ hasIPv6Default, sysctl }: HostState, link: string): string {
  const mend = `start flanneld with --manage-accept-ra, or set ${acceptRa(link)}=2`;
  if (sysctl(forwardingSysctl[6]) === '0') {
    return (
      `${link} has its IPv6 default route from router advertisements, and the kernel drops it as soon as this node forwards ` +
      `IPv6, which it must for its pods; so forwarding is not switched on here, but the first pod's ADD will do it: ${mend}`
    );
  }
  return hasIPv6Default
    ? `${link} has its IPv6 default route from router advertisements, and a node that forwards IPv6 hears no more of them: the route goes when its time is over; ${mend}`
    : `there is no IPv6 default route, and ${link} does not listen to router advertisements, because this node forwards IPv6: ${mend}`;
}

/**
 * Without it a pod that reaches another pod of its node by a Service gets no answer: the answer goes through the bridge
 * alone, past the rules that must turn it around. Nothing else here needs it.
 */
function bridgeWarning(family: Family, sysctl: HostState['sysctl'], told: boolean): string[] {
  const name = bridgeSysctl[family];
  const value = sysctl(name);
  if (value === '1') return [];
  const effect = 'pods do not reach pods of the same node by the address of a Service';
  if (value === '0') return [`${name} is 0: ${effect}; set it to 1`];
  // Both families have the same module.
  if (told) return [];
  return [
    `the kernel module br_netfilter is not loaded, and could not be: ${effect}; run "modprobe br_netfilter" on the host. ` +
      'Where there is no such module, it comes with the package kernel-modules or kernel-modules-extra (Fedora, RHEL) or ' +
      'linux-modules-extra-raspi (Ubuntu on Raspberry Pi), or with a kernel that has CONFIG_BRIDGE_NETFILTER',
  ];
}
