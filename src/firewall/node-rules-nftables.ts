import { addressBytes, type Family } from '../net/address.ts';
import { networkOf, prefixAddress, prefixLength } from '../net/prefix.ts';
import * as k from '../netlink/constants.ts';
import {
  compareWith,
  decide,
  loadHeader,
  loadMark,
  maskWith,
  masquerade,
  type NftExpression,
} from '../netlink/netfilter/nft-expressions.ts';
import {
  type NftChainWrite,
  nftComment,
  type NftRuleWrite,
  type NftTableWrite,
} from '../netlink/netfilter/nftables.ts';
import { type AddressMatch, kubeMark, type NodeRule, type NodeRules, protocolOf } from './node-rules.ts';

/** Go flannel's tables and chains. */
export const nftablesTables: Readonly<Record<Family, string>> = { 4: 'flannel-ipv4', 6: 'flannel-ipv6' };
export const nftablesChains = [
  {
    part: 'masquerade',
    chain: 'postrtg',
    type: 'nat',
    hook: k.NF_INET_POST_ROUTING,
    priority: 100,
    comment: 'chain to manage traffic masquerading by flannel',
  },
  {
    part: 'forward',
    chain: 'forward',
    type: 'filter',
    hook: k.NF_INET_FORWARD,
    priority: 0,
    comment: 'chain to accept flannel traffic',
  },
] as const;

/** One family's table with all that is in it, as messages for the kernel. */
export interface NftablesTable {
  readonly table: NftTableWrite;
  readonly chains: readonly NftChainWrite[];
  readonly rules: readonly NftRuleWrite[];
}

/** Undefined: there is no such table. */
export function nftablesTable(rules: NodeRules, family: Family): NftablesTable | undefined {
  const chains = nftablesChains.filter(({ part }) => rules[part] !== undefined);
  if (chains.length === 0) return undefined;
  const name = nftablesTables[family];
  const nfgen_family = protocolOf[family];
  return {
    table: {
      nfgen_family,
      NFTA_TABLE_NAME: name,
      NFTA_TABLE_USERDATA: nftComment(`rules for ${name}`),
    },
    chains: chains.map(({ chain, type, hook, priority, comment }) => ({
      nfgen_family,
      NFTA_CHAIN_TABLE: name,
      NFTA_CHAIN_NAME: chain,
      NFTA_CHAIN_HOOK: { NFTA_HOOK_HOOKNUM: hook, NFTA_HOOK_PRIORITY: priority },
      NFTA_CHAIN_POLICY: k.NF_ACCEPT,
      NFTA_CHAIN_TYPE: type,
      NFTA_CHAIN_USERDATA: nftComment(comment),
    })),
    rules: chains.flatMap(({ part, chain }) =>
      (rules[part] ?? []).map((rule) => ({
        nfgen_family,
        NFTA_RULE_TABLE: name,
        NFTA_RULE_CHAIN: chain,
        NFTA_RULE_EXPRESSIONS: { NFTA_LIST_ELEM: ruleExpressions(rule, family) },
      })),
    ),
  };
}

/** The mark under its mask, as iptables mode has it: other bits of it belong to others. */
function ruleExpressions(
  { marked, source, destination, verdict }: NodeRule,
  family: Family,
): NftExpression[] {
  const header = headers[family];
  return [
    ...(marked ? [loadMark(), maskWith(markBytes), compareWith(markBytes)] : []),
    ...addressExpressions(source, header.source),
    ...addressExpressions(destination, header.destination),
    verdictExpression(verdict),
  ];
}

/** Where struct iphdr and struct ipv6hdr have their addresses. */
const headers = { 4: { source: 12, destination: 16 }, 6: { source: 8, destination: 24 } } as const;

/** Registers hold a mark in the machine's order, which on every platform we build for is little. */
const markBytes = new Uint8Array(new Uint32Array([Number(kubeMark)]).buffer);

/** A prefix that ends between two bytes needs a mask; of another its bytes are enough, which is how nft does it. */
function addressExpressions(match: AddressMatch | undefined, offset: number): NftExpression[] {
  if (match === undefined) return [];
  const bytes = addressBytes(prefixAddress(networkOf(match.prefix)));
  const length = prefixLength(match.prefix);
  if (length % 8 === 0) {
    const whole = length / 8;
    return [loadHeader(offset, whole), compareWith(bytes.slice(0, whole), match.not)];
  }
  const mask = bytes.map((_, i) => 0xff & (0xff00 >> Math.min(8, Math.max(0, length - 8 * i))));
  return [loadHeader(offset, bytes.length), maskWith(mask), compareWith(bytes, match.not)];
}

function verdictExpression(verdict: NodeRule['verdict']): NftExpression {
  if (verdict === 'accept') return decide(k.NF_ACCEPT);
  if (verdict === 'return') return decide(k.NFT_RETURN);
  return masquerade(verdict === 'masquerade random-fully');
}
