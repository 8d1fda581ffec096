import type { Family } from '../net/address.ts';
import { getNftRules, type NftRuleMessage } from '../netlink/netfilter/nftables.ts';
import type { Request } from '../netlink/message.ts';
import { families } from './node-rules.ts';
import { iptablesChains } from './node-rules-iptables.ts';
import { nftablesChains, nftablesTables } from './node-rules-nftables.ts';

/** The firewall's two ways of writing rules down. */
export type NodeFirewallWriter = 'iptables' | 'nftables';

/** AF_INET and AF_INET6 (linux/socket.h); NFPROTO_IPV4 and 6 have the same numbers. */
const protocol: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };

type Dump = (request: Request<NftRuleMessage>) => readonly NftRuleMessage[];

/**
 * All that the kernel has of the rules that `writer` writes, as text to compare: what every rule does, in
 * its order, without counters and handles. Empty when there is nothing.
 */
export function nodeFingerprint(dump: Dump, writer: NodeFirewallWriter): string {
  const lines = families.flatMap((family) => {
    const rules = (table: string, chain: string) => dump(getNftRules(protocol[family], table, chain));
    if (writer === 'nftables') {
      const table = nftablesTables[family];
      return nftablesChains.flatMap(({ chain }) => rules(table, chain).map(describeRule));
    }
    return iptablesChains.flatMap(({ table, base, chain }) => [
      ...rules(table, chain).map(describeRule),
      // Others' rules around the jump are their own business.
      ...rules(table, base)
        .filter((rule) => jumpsTo(rule, chain))
        .map(describeRule),
    ]);
  });
  return lines.join('\n');
}

const expressionsOf = (rule: NftRuleMessage) => rule.NFTA_RULE_EXPRESSIONS?.NFTA_LIST_ELEM ?? [];

function describeRule(rule: NftRuleMessage): string {
  const expressions = expressionsOf(rule).map(({ NFTA_EXPR_NAME: name, NFTA_EXPR_DATA: data }) =>
    name === 'counter' ? name : `${name} ${Buffer.from(data ?? []).toString('hex')}`,
  );
  return [rule.NFTA_RULE_TABLE, rule.NFTA_RULE_CHAIN, ...expressions].join(' ');
}

const jumpsTo = (rule: NftRuleMessage, chain: string): boolean =>
  expressionsOf(rule).some(
    ({ NFTA_EXPR_NAME, NFTA_EXPR_DATA }) =>
      NFTA_EXPR_NAME === 'immediate' && Buffer.from(NFTA_EXPR_DATA ?? []).includes(`${chain}\0`),
  );
