import { type Owner, ownerKey } from './entry.ts';
import type { DatedEntry } from './store.ts';

/** What is known about the node when its addresses are looked through. */
export interface Sighting {
  /**
   * When this boot began, in milliseconds since the epoch on the clock that stamped the files. On a machine
   * that starts with a wrong clock, take the earlier of what the clock says now minus the uptime, and what it
   * showed at boot (the time of a file made then): too early keeps an address, too late takes a live one.
   */
  readonly bootTime: number;
  /** Now, on the same clock. */
  readonly now: number;
  /** Our own attachment records, by {@link ownerKey}. */
  readonly records: ReadonlyMap<string, Veth>;
  /** The links of the host, listed before the entries were. */
  readonly links: ReadonlySet<string>;
}

/** The host's end of a veth pair. */
export interface Veth {
  readonly name: string;
  /** It was made among the links that are listed; else it may be where nobody here sees it. */
  readonly isHere: boolean;
}

export interface Leftover {
  readonly entry: DatedEntry;
  readonly reason: 'from before this boot' | 'its host veth is gone';
}

/**
 * How long a young entry is left alone, in milliseconds: its ADD may have written the record, and not made
 * the veth pair yet. The launcher makes none once it is 65 seconds old.
 */
export const grace = 120_000;

/**
 * Which addresses nobody uses any more. A live veth proves an attachment whatever the times say. An entry
 * without a record of ours was made by another program, and a veth of another namespace cannot be seen: only a boot after
 * it shows that such an entry is stale.
 */
export function leftovers(entries: readonly DatedEntry[], sighting: Sighting): Leftover[] {
  return entries.flatMap((entry): Leftover[] => {
    const veths = vethsOf(entry, sighting.records);
    if (veths.some(({ name }) => sighting.links.has(name))) return [];
    if (entry.modified < sighting.bootTime) return [{ entry, reason: 'from before this boot' }];
    const old = sighting.now - entry.modified > grace;
    const isSeenGone = veths.length > 0 && veths.every(({ isHere }) => isHere);
    return isSeenGone && old ? [{ entry, reason: 'its host veth is gone' }] : [];
  });
}

/** Several for a file that names the container alone. */
function vethsOf(owner: Owner, records: ReadonlyMap<string, Veth>): Veth[] {
  const exact = records.get(ownerKey(owner));
  if (exact !== undefined) return [exact];
  if (owner.ifname !== '') return [];
  const prefix = ownerKey(owner);
  return [...records].filter(([key]) => key.startsWith(prefix)).map(([, veth]) => veth);
}
