import type { Family } from '../net/address.ts';
import { prefixFamily, type Prefix } from '../net/prefix.ts';
import { multicast } from './pod-masquerade.ts';

/** What the node-wide rules are made from. A family without a network gets no rules. */
export interface NodeRulesInput {
  /** `--ip-masq`, and for IPv6 `--ipv6-masq` too. */
  readonly masquerade: Readonly<Record<Family, boolean>>;
  /** `--iptables-forward-rules`. */
  readonly forward: boolean;
  /** Source ports that nobody can guess; not with `--ip-masq-fully-random-disable`. */
  readonly randomFully: boolean;
  /** The whole flannel network, one a family. */
  readonly networks: readonly Prefix[];
  /** This node's own, one a family. */
  readonly subnets: readonly Prefix[];
}

export interface AddressMatch {
  readonly not?: true;
  readonly prefix: Prefix;
}

/** One rule, whoever writes it down. What it matches must all hold. */
export interface NodeRule {
  /** kube-proxy's mark for what it masquerades itself, under its own mask. */
  readonly marked?: true;
  readonly source?: AddressMatch;
  readonly destination?: AddressMatch;
  readonly verdict: 'return' | 'accept' | 'masquerade' | 'masquerade random-fully';
}

export interface NodeRules {
  /** For what leaves the node; undefined: there is no such chain. */
  readonly masquerade?: readonly NodeRule[];
  /** For what passes through; undefined: there is no such chain. */
  readonly forward?: readonly NodeRule[];
}

export const families: readonly Family[] = [4, 6];

export type RulesByFamily = Readonly<Record<Family, NodeRules>>;
export const noRules: RulesByFamily = { 4: {}, 6: {} };

/** AF_INET and AF_INET6 (linux/socket.h); NFPROTO_IPV4 and 6 have the same numbers. */
export const protocolOf: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };

/** kube-proxy's `--masquerade-bit` 14, the default. */
export const kubeMark = '0x4000';

/** The rules of one family, in Go flannel's order. */
export function nodeRules(input: NodeRulesInput, family: Family): NodeRules {
  const ofFamily = (prefix: Prefix): boolean => prefixFamily(prefix) === family;
  const network = input.networks.find(ofFamily);
  const subnet = input.subnets.find(ofFamily);
  if (network === undefined || subnet === undefined) return {};
  const verdict = input.randomFully ? 'masquerade random-fully' : 'masquerade';
  const [pods, own] = [{ prefix: network }, { prefix: subnet }];
  const others = { not: true, prefix: network } as const;
  return {
    ...(input.masquerade[family] && {
      masquerade: [
        { marked: true, verdict: 'return' },
        { source: own, destination: pods, verdict: 'return' },
        { source: pods, destination: own, verdict: 'return' },
        // What comes in from outside for a pod of this node keeps its source: the pod sees its client.
        { source: others, destination: own, verdict: 'return' },
        { source: pods, destination: { not: true, prefix: multicast[family] }, verdict },
        { source: others, destination: pods, verdict },
      ],
    }),
    ...(input.forward && {
      forward: [
        { source: pods, verdict: 'accept' },
        { destination: pods, verdict: 'accept' },
      ],
    }),
  };
}
