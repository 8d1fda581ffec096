import type { Family } from '../net/address.ts';

/** One table of the legacy iptables as the kernel gives it: IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES. */
export interface LegacyTable {
  readonly family: Family;
  /** struct ipt_getinfo, ip6t_getinfo. */
  readonly info: Buffer;
  /** What follows the header of struct ipt_get_entries: struct ipt_entry or ip6t_entry, one behind the other. */
  readonly entries: Buffer;
}

/** Offsets in struct ipt_entry and ip6t_entry (linux/netfilter_ipv4/ip_tables.h, netfilter_ipv6/ip6_tables.h). */
const layouts = {
  4: { nfcache: 84, targetOffset: 88, nextOffset: 90, comefrom: 92, counters: 96 },
  6: { nfcache: 136, targetOffset: 140, nextOffset: 142, comefrom: 144, counters: 152 },
} as const;

/** struct xt_entry_target: its name, and what follows: a verdict, or the name of the chain that begins here. */
const target = { name: 2, data: 32 } as const;
/** struct ipt_getinfo: five offsets each, by NF_INET_* number. */
const info = { hookEntry: 36, underflow: 56 } as const;

interface Entry {
  readonly offset: number;
  readonly target: string;
  /** Of a standard target: negative for a decision, else the offset of the rule to jump to. */
  readonly verdict: number;
  /** The name of a chain, where one begins. */
  readonly begins: string | undefined;
  /** What it does, without what the kernel counts. */
  readonly text: string;
}

/**
 * What `table` has of `chain` and of the jumps to it from the kernel's chain `hook` (NF_INET_*), as text to
 * compare; undefined when there is no such chain. Throws a RangeError for bytes that are no table.
 */
export function legacyChainText(table: LegacyTable, hook: number, chain: string): string | undefined {
  const entries = [...entriesOf(table)];
  const start = entries.findIndex(({ begins }) => begins === chain);
  if (start === -1) return undefined;
  const next = entries.findIndex(({ begins }, i) => i > start && begins !== undefined);
  const rules = entries.slice(start + 1, next === -1 ? entries.length : next);
  const first = rules[0]?.offset;
  const from = table.info.readUInt32LE(info.hookEntry + 4 * hook);
  const to = table.info.readUInt32LE(info.underflow + 4 * hook);
  const jumps = entries.filter(
    ({ offset, target, verdict }) => offset >= from && offset < to && target === '' && verdict === first,
  );
  return [...rules.map(({ text }) => `rule ${text}`), ...jumps.map(({ text }) => `jump ${text}`)].join('\n');
}

function* entriesOf({ family, entries }: LegacyTable): Generator<Entry, void> {
  const layout = layouts[family];
  for (let offset = 0; offset < entries.length; ) {
    const next = entries.readUInt16LE(offset + layout.nextOffset);
    if (next < layout.counters || offset + next > entries.length)
      throw new RangeError('an entry of no length');
    const bytes = Buffer.from(entries.subarray(offset, offset + next));
    const at = bytes.readUInt16LE(layout.targetOffset);
    const name = stringAt(bytes, at + target.name);
    const standard = name === '';
    const verdict = standard ? bytes.readInt32LE(at + target.data) : 0;
    // Where a chain stands is no part of what jumps there; what comes from where is the kernel's own note.
    if (standard && verdict >= 0) bytes.writeInt32LE(0, at + target.data);
    bytes.fill(0, layout.nfcache, layout.targetOffset);
    bytes.fill(0, layout.comefrom, layout.counters + 16);
    const begins = name === 'ERROR' ? stringAt(bytes, at + target.data) : undefined;
    yield { offset, target: name, verdict, begins, text: bytes.toString('hex') };
    offset += next;
  }
}

function stringAt(bytes: Buffer, start: number): string {
  const end = bytes.indexOf(0, start);
  return bytes.toString('latin1', start, end === -1 ? bytes.length : end);
}
