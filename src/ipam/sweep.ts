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
  /** What became of the veths in our own attachment records, by {@link ownerKey}. */
  readonly veths: ReadonlyMap<string, Sight>;
}

/** Of the host's end of a veth pair. `elsewhere`: it was made where nobody here sees it. */
export type Sight = 'there' | 'gone' | 'elsewhere';

export interface Leftover {
  readonly entry: DatedEntry;
  readonly reason: 'from before this boot' | 'its host veth is gone';
}

/**
 * How long a young entry is left alone, in milliseconds: its ADD may have written the record, and not made
 * the veth pair yet. The launcher makes none once it is 65 seconds old; a stand-alone ADD looks whether it still has its addresses
 * when the pair is there.
 */
export const grace = 120_000;

/**
 * Which addresses nobody uses any more. A live veth proves an attachment whatever the times say. An entry
 * without a record of ours was made by another program, and a veth of another namespace cannot be seen: only a boot after
 * it shows that such an entry is stale.
 */
export function leftovers(entries: readonly DatedEntry[], sighting: Sighting): Leftover[] {
  return entries.flatMap((entry): Leftover[] => {
    const veths = vethsOf(entry, sighting.veths);
    if (veths.includes('there')) return [];
    if (entry.modified < sighting.bootTime) return [{ entry, reason: 'from before this boot' }];
    const old = sighting.now - entry.modified > grace;
    const areGone = veths.length > 0 && !veths.includes('elsewhere');
    return areGone && old ? [{ entry, reason: 'its host veth is gone' }] : [];
  });
}

/** Several for a file that names the container alone. */
function vethsOf(owner: Owner, veths: ReadonlyMap<string, Sight>): Sight[] {
  const exact = veths.get(ownerKey(owner));
  if (exact !== undefined) return [exact];
  if (owner.ifname !== '') return [];
  const prefix = ownerKey(owner);
  return [...veths].filter(([key]) => key.startsWith(prefix)).map(([, sight]) => sight);
}
