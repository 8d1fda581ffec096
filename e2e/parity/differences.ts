import type { Difference } from './compare.ts';

/** A difference that is meant, with the lines it explains. docs/parity.md is made of this list. */
export interface Meant {
  readonly title: string;
  readonly reason: string;
  /** Lines of a snapshot. */
  readonly lines: RegExp;
  /** Names of cases; all of them by default. */
  readonly cases?: readonly string[];
  /** Set when the old reference (plugins 1.1.1) alone differs: later ones do as we do. */
  readonly onlyOld?: true;
}

export const meant: readonly Meant[] = [
  {
    title: 'IPv6 addresses are usable at once',
    reason: `The reference waits for duplicate address detection in the pod (50 ms and more), and the bridge's own address stays
tentative while the bridge has no carrier. Ours sets both with nodad: the addresses come from a store that never hands one
out twice. So is the bridge's link-local address, from which the node asks for a pod's MAC: else the first pod could not be
reached for up to two seconds. With enabledad all this is detected as the reference does it.
The pod's link-local address is the kernel's, but comes when nobody waits any more, mostly a millisecond after the answer.`,
    lines:
      /: ((pod|host) (address \S+ fd|route local (anycast|local) fd)|host address (?!veth)\S+ link-local$)/,
  },
  {
    title: "The node's end of a veth has no link-local address",
    reason: `What comes in there is the bridge's, which accepts no router advertisements, so the port needs neither an address nor a
setting of its own against them (CVE-2020-10749). An address on each, with its routes, makes every change of a link slower the
more pods there are.`,
    lines:
      /^after ADD: host (address veth\* link-local|sysctl net\.ipv6\.conf\.veth\*\.(accept_ra|addr_gen_mode))$/,
  },
  {
    title: 'Errors have codes of their own',
    reason:
      'Where the specification has a code for an error (4: a bad environment, 7: a bad configuration), it is used; the reference says 999.',
    lines: /^(ADD|DEL|second DEL) error code$/,
  },
  {
    title: 'What is refused leaves nothing behind',
    reason: `A configuration that cannot be carried out is refused before anything is touched, and a failure later is undone. The
reference leaves the bridge, the attachment or files of the address store, and counts on the DEL that follows.`,
    lines: /^after (ADD|DEL): /,
    cases: ['promiscMode with hairpinMode', 'ipMasq by an unknown backend', 'a bridge with another address'],
  },
  {
    title: 'A DEL that has nothing to release makes no directory',
    reason:
      "The reference's DEL makes the directory of the network with its lock, also where no address was ever handed out.",
    lines: /^after DEL: file cbr0\/lock$/,
    cases: ['a bridge name taken by a veth', 'vlan', 'vlan with preserveDefaultVlan'],
  },
  {
    title: 'MAC in CNI_ARGS needs no IgnoreUnknown',
    reason: 'The reference bridge knows MAC, but host-local, which it starts, does not, and fails the ADD.',
    lines: /./,
    cases: ['mac by CNI_ARGS'],
  },
  {
    title: 'DEL does not refuse CNI_ARGS that it does not know',
    reason:
      'A DEL that fails leaves an address reserved, so it is forgiving about all that it does not need.',
    lines: /^(DEL|second DEL) (exit|error code)$/,
    cases: ['unknown CNI_ARGS', 'mac by CNI_ARGS'],
  },
  {
    title: 'DEL without a namespace takes the attachment away all the same',
    reason: `The reference gives the address back and leaves the links, and the masquerade rules. Ours finds the host's end by
its own record.`,
    lines: /^after DEL: (host|pod) /,
    cases: ['DEL without a namespace', 'DEL after the namespace has gone'],
  },
  {
    title: 'A bridge has a MAC of its own, also when it is no gateway',
    reason:
      'One that it borrows from a port would change with the ports. The reference pins it only with isGateway.',
    lines: /^ADD result interfaces\[0\] mac$/,
    cases: ['isGateway off'],
  },
  {
    title: 'Only the tables of the chosen backend are touched',
    reason:
      "The reference's DEL tidies up in iptables as well, which makes empty tables there, and it comments its nftables table and chain.",
    lines: /^after (ADD|DEL): host (ip6?tables [*:C]|nft comment "Masquerad)/,
    cases: ['ipMasq by nftables, dual-stack'],
  },
  {
    title: 'CHECK succeeds on a new kernel',
    reason: 'CHECK of the CNI plugins 1.1.1 fails here for every attachment, also for its own.',
    lines: /^CHECK (exit|error code)$/,
    onlyOld: true,
  },
  {
    title: "The pod's IPv6 addresses survive its link going down",
    reason: 'keep_addr_on_down is set, as the CNI plugins do since 1.4.',
    lines: /^after ADD: pod sysctl net\.ipv6\.conf\.eth0\.keep_addr_on_down$/,
    onlyOld: true,
  },
  {
    title: 'resolvConf reaches the result',
    reason: 'The bridge plugin 1.1.1 drops the DNS part of what host-local answers.',
    lines: /^ADD result dns /,
    cases: ['resolvConf'],
    onlyOld: true,
  },
];

/** What no entry of the list explains. */
export function unexplained(name: string, old: boolean, differences: readonly Difference[]): Difference[] {
  return differences.filter(({ line }) => !meant.some((entry) => explains(entry, name, old, line)));
}

export function explains(entry: Meant, name: string, old: boolean, line: string): boolean {
  if (entry.onlyOld === true && !old) return false;
  return (entry.cases?.includes(name) ?? true) && entry.lines.test(line);
}
