import type { Family } from '../net/address.ts';
import { type AddressMatch, families, kubeMark, type NodeRule, type NodeRules } from './node-rules.ts';

/** Go flannel's tables and chains. */
export const nftablesTables: Readonly<Record<Family, string>> = { 4: 'flannel-ipv4', 6: 'flannel-ipv6' };
export const nftablesChains = [
  {
    part: 'masquerade',
    chain: 'postrtg',
    hook: 'type nat hook postrouting priority 100;',
    comment: 'chain to manage traffic masquerading by flannel',
  },
  {
    part: 'forward',
    chain: 'forward',
    hook: 'type filter hook forward priority 0;',
    comment: 'chain to accept flannel traffic',
  },
] as const;

const keyword: Readonly<Record<Family, 'ip' | 'ip6'>> = { 4: 'ip', 6: 'ip6' };

/**
 * Input for `nft -f -`, one transaction: both tables are made anew, whatever they held. A family without
 * rules has no table afterwards.
 */
export function nftablesNodeRules(rules: Readonly<Record<Family, NodeRules>>): string {
  return `${families.flatMap((family) => tableLines(family, rules[family])).join('\n')}\n`;
}

function tableLines(family: Family, rules: NodeRules): string[] {
  const table = `${keyword[family]} ${nftablesTables[family]}`;
  // Only what is there can be deleted.
  const gone = [`add table ${table}`, `delete table ${table}`];
  const chains = nftablesChains.flatMap(({ part, chain, hook, comment }) => {
    const list = rules[part];
    if (list === undefined) return [];
    return [
      `add chain ${table} ${chain} { ${hook} comment "${comment}"; }`,
      ...list.map((rule) => `add rule ${table} ${chain} ${ruleText(keyword[family], rule)}`),
    ];
  });
  if (chains.length === 0) return gone;
  return [...gone, `add table ${table} { comment "rules for ${nftablesTables[family]}"; }`, ...chains];
}

/** The mark under its mask, as iptables mode has it: other bits of it belong to others. */
function ruleText(ip: 'ip' | 'ip6', { marked, source, destination, verdict }: NodeRule): string {
  const address = (field: string, match: AddressMatch | undefined): string[] =>
    match === undefined ? [] : [`${ip} ${field} ${match.not ? '!= ' : ''}${match.prefix}`];
  return [
    ...(marked ? [`meta mark & ${kubeMark} == ${kubeMark}`] : []),
    ...address('saddr', source),
    ...address('daddr', destination),
    verdict.replace('random-fully', 'fully-random'),
  ].join(' ');
}
