import * as k from '../netlink/constants.ts';
import type { AddressMatch, NodeRule, NodeRules } from './node-rules.ts';
import { kubeMark } from './node-rules.ts';

/** Go flannel's chains: a table, the kernel's chain that jumps there, and the comment on every rule. */
export const iptablesChains = [
  {
    part: 'masquerade',
    table: 'nat',
    base: 'POSTROUTING',
    hook: k.NF_INET_POST_ROUTING,
    chain: 'FLANNEL-POSTRTG',
    comment: 'flanneld masq',
  },
  {
    part: 'forward',
    table: 'filter',
    base: 'FORWARD',
    hook: k.NF_INET_FORWARD,
    chain: 'FLANNEL-FWD',
    comment: 'flanneld forward',
  },
] as const;

type IptablesChain = (typeof iptablesChains)[number];

/**
 * Input for `iptables-restore --noflush` (ip6tables-restore for IPv6) that turns what `iptables-save` shows
 * into `rules`, each table at once; undefined when nothing differs. A chain is always written whole, so
 * rules of an earlier network go with it. Chains that `rules` do not have are taken away.
 */
export function iptablesNodeRules(rules: NodeRules, saved: string): string | undefined {
  const text = iptablesChains.map((chain) => chainChange(chain, rules[chain.part], saved)).join('');
  return text === '' ? undefined : text;
}

function chainChange(names: IptablesChain, rules: readonly NodeRule[] | undefined, saved: string): string {
  const { table, base, chain } = names;
  const lines = linesOf(table, saved);
  const jumps = lines.filter((line) => line.startsWith(`-A ${base} `) && line.endsWith(` -j ${chain}`));
  const unjump = jumps.map((line) => line.replace('-A', '-D'));
  const exists = lines.some((line) => line.startsWith(`:${chain} `));
  if (rules === undefined) {
    return exists ? transaction(table, [...unjump, `-F ${chain}`, `-X ${chain}`]) : '';
  }
  const jump = `-A ${base} -m comment --comment "${names.comment}" -j ${chain}`;
  const wanted = rules.map((rule) => ruleText(names, rule));
  const there = lines.filter((line) => line.startsWith(`-A ${chain} `));
  const jumped = jumps.length === 1 && jumps[0] === jump;
  if (exists && jumped && wanted.join('\n') === there.join('\n')) return '';
  // A chain that is declared is made or emptied. The jump stays where it is when it is right.
  return transaction(table, [`:${chain} - [0:0]`, ...wanted, ...(jumped ? [] : [...unjump, jump])]);
}

/** As iptables-save writes it, so that texts can be compared. */
function ruleText({ chain, comment }: IptablesChain, rule: NodeRule): string {
  const [target, random] = rule.verdict.split(' ');
  return [
    `-A ${chain}`,
    ...address('-s', rule.source),
    ...address('-d', rule.destination),
    ...(rule.marked ? [`-m mark --mark ${kubeMark}/${kubeMark}`] : []),
    `-m comment --comment "${comment}" -j ${target?.toUpperCase()}`,
    ...(random === undefined ? [] : [`--${random}`]),
  ].join(' ');
}

const address = (option: string, match: AddressMatch | undefined): string[] =>
  match === undefined ? [] : [`${match.not ? '! ' : ''}${option} ${match.prefix}`];

function linesOf(table: string, saved: string): string[] {
  const lines = saved.split('\n');
  const start = lines.indexOf(`*${table}`);
  return start === -1 ? [] : lines.slice(start, lines.indexOf('COMMIT', start));
}

const transaction = (table: string, lines: readonly string[]): string =>
  [`*${table}`, ...lines, 'COMMIT', ''].join('\n');
