/**
 * Go flannel's rules as `iptables-save` and `nft list` show them, from its documented behaviour: N is the network, P the
 * node's subnet, M multicast. Where ours are other rules, `instead` says which, and `why` which weak point that mends.
 */

export interface BookRule {
  readonly rule: string;
  readonly instead?: string;
  readonly why?: string;
}

export interface BookChain {
  readonly part: 'masquerade' | 'forward';
  readonly head: readonly string[];
  readonly rules: readonly BookRule[];
}

const masq = '-m comment --comment "flanneld masq"';
const forward = '-m comment --comment "flanneld forward"';

const iptablesBook: readonly (BookChain & { readonly table: string; readonly jump: string })[] = [
  {
    part: 'forward',
    table: 'filter',
    head: [':FLANNEL-FWD - [0:0]'],
    jump: `-A FORWARD ${forward} -j FLANNEL-FWD`,
    rules: [
      { rule: `-A FLANNEL-FWD -s N ${forward} -j ACCEPT` },
      { rule: `-A FLANNEL-FWD -d N ${forward} -j ACCEPT` },
    ],
  },
  {
    part: 'masquerade',
    table: 'nat',
    head: [':FLANNEL-POSTRTG - [0:0]'],
    jump: `-A POSTROUTING ${masq} -j FLANNEL-POSTRTG`,
    rules: [
      { rule: `-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 ${masq} -j RETURN` },
      { rule: `-A FLANNEL-POSTRTG -s P -d N ${masq} -j RETURN` },
      { rule: `-A FLANNEL-POSTRTG -s N -d P ${masq} -j RETURN` },
      { rule: `-A FLANNEL-POSTRTG ! -s N -d P ${masq} -j RETURN` },
      { rule: `-A FLANNEL-POSTRTG -s N ! -d M ${masq} -j MASQUERADE --random-fully` },
      { rule: `-A FLANNEL-POSTRTG ! -s N -d N ${masq} -j MASQUERADE --random-fully` },
    ],
  },
];

const shadow = 'rule 4 shadows rule 6, so that what the host sends to pods of other nodes keeps its source';

const nftablesBook: readonly (BookChain & { readonly name: string })[] = [
  {
    part: 'masquerade',
    name: 'postrtg',
    head: [
      'comment "chain to manage traffic masquerading by flannel"',
      'type nat hook postrouting priority srcnat; policy accept;',
    ],
    rules: [
      {
        rule: 'meta mark 0x00004000 return',
        instead: 'meta mark & 0x00004000 == 0x00004000 return',
        why: 'the mark is compared without its mask, so that other bits of it hide kube-proxy’s',
      },
      { rule: 'ip saddr P ip daddr N return' },
      { rule: 'ip saddr N ip daddr P return' },
      {
        rule: 'ip saddr != P ip daddr N return',
        instead: 'ip saddr != N ip daddr P return',
        why: shadow,
      },
      { rule: 'ip saddr N ip daddr != M masquerade fully-random' },
      { rule: 'ip saddr != N ip daddr N masquerade fully-random' },
    ],
  },
  {
    part: 'forward',
    name: 'forward',
    head: [
      'comment "chain to accept flannel traffic"',
      'type filter hook forward priority filter; policy accept;',
    ],
    rules: [{ rule: 'ip saddr N accept' }, { rule: 'ip daddr N accept' }],
  },
];

export interface Page {
  readonly network: string;
  readonly subnet: string;
  readonly masquerade: boolean;
  readonly forward: boolean;
  readonly randomFully: boolean;
}

const familyOf = (network: string) => (network.includes(':') ? 6 : 4);

/** One family's rules, ours or Go flannel's to the letter. */
function written(page: Page, { part, rules }: BookChain, whose: 'ours' | 'go'): string[] {
  if (!page[part]) return [];
  const random = (rule: string) =>
    page.randomFully ? rule : rule.replace(/ (--random-fully|fully-random)$/, '');
  const multicast = familyOf(page.network) === 4 ? '224.0.0.0/4' : 'ff00::/8';
  return rules.map(({ rule, instead }) =>
    random(whose === 'ours' ? (instead ?? rule) : rule)
      .replaceAll(/\bip (?=[sd]addr)/g, familyOf(page.network) === 4 ? 'ip ' : 'ip6 ')
      .replaceAll(/(?<= )N(?= |$)/g, page.network)
      .replaceAll(/(?<= )P(?= |$)/g, page.subnet)
      .replaceAll(/(?<= )M(?= |$)/g, multicast),
  );
}

/** What `iptables-save` or `ip6tables-save` shows of it, table after table, without others' chains. */
export function iptablesPage(page: Page): string {
  return iptablesBook
    .filter(({ part }) => page[part])
    .map((chain) =>
      [`*${chain.table}`, ...chain.head, chain.jump, ...written(page, chain, 'ours')].join('\n'),
    )
    .join('\n');
}

/** What `nft list table` shows; empty when there is no such table. */
export function nftablesPage(page: Page, whose: 'ours' | 'go'): string {
  const chains = nftablesBook.filter(({ part }) => page[part]);
  if (chains.length === 0) return '';
  const family = familyOf(page.network);
  const name = `flannel-ipv${family}`;
  const bodies = chains.map((chain) =>
    [
      `\tchain ${chain.name} {`,
      ...[...chain.head, ...written(page, chain, whose)].map((line) => `\t\t${line}`),
      '\t}\n',
    ].join('\n'),
  );
  const table = family === 4 ? 'ip' : 'ip6';
  return `table ${table} ${name} {\n\tcomment "rules for ${name}"\n${bodies.join('\n')}}\n`;
}
