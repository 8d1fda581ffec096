import { Claims, type Conflict } from './claims.ts';
import type { Lease, PodNetwork, Refusal } from './lease.ts';
import { Membership } from './membership.ts';
import type { Entry } from './registry.ts';

/** What a change of the registry means for the peers. */
export interface PeerChange {
  /** New, or with other attributes. */
  readonly changed: readonly Lease[];
  readonly gone: readonly string[];
}

/** Why an entry is no peer. `blocker` is who stands in its way: when that one goes or moves, the entry is judged again. */
interface Objection {
  readonly reason: string;
  readonly blocker?: string;
}

/**
 * All leases of a registry, judged: which are peers, and why the others are not. Whoever held a subnet or an address
 * first keeps it until it is gone; then the others are judged again, in the order in which they came. An entry that
 * becomes unreadable is named, and the lease it had stays: nothing says that its node is gone. The cost of a change
 * does not depend on the number of leases.
 */
export class LeaseBook {
  readonly #membership: Membership;
  readonly #entries = new Map<string, Entry>();
  readonly #peers = new Map<string, Lease>();
  readonly #refusals = new Map<string, Objection>();
  /** Who waits for whom, oldest first. */
  readonly #waiting = new Map<string, Set<string>>();
  readonly #claims = new Claims();
  /** The peers that were touched by the change in hand, as they were before. */
  readonly #before = new Map<string, Lease | undefined>();
  #own: Lease;
  #ownClaims: Claims;

  /** `own` is this node's lease: nobody else's may touch it. */
  constructor(network: PodNetwork, own: Lease) {
    this.#membership = new Membership(network);
    this.#own = own;
    this.#ownClaims = this.#claimsOf(own);
  }

  get peers(): ReadonlyMap<string, Lease> {
    return this.#peers;
  }

  /** By name, with a reason in one line. One that is a peer all the same has an entry that cannot be read any more. */
  get refusals(): Refusal[] {
    return [...this.#refusals].map(([id, { reason }]) => ({ id, reason }));
  }

  /** This node's lease has changed. */
  setOwn(own: Lease): PeerChange {
    const before = this.#own.id;
    return this.#after(() => {
      this.#own = own;
      this.#ownClaims = this.#claimsOf(own);
      this.#forget(own.id);
      for (const [id, lease] of this.#peers) {
        const held = this.#membership.claimOf(lease);
        if (this.#ownClaims.conflict(held) !== undefined) this.#judgeAgain(id);
      }
      this.#released(before);
    });
  }

  /** All there is now; what is not among it is gone. Those that are peers already go first: they are the older ones. */
  all(entries: ReadonlyMap<string, Entry>): PeerChange {
    return this.#after(() => {
      const gone = [...this.#entries.keys()].filter((id) => !entries.has(id));
      const older = [...entries].filter(([id]) => this.#peers.has(id));
      const newer = [...entries].filter(([id]) => !this.#peers.has(id));
      for (const [id, entry] of older) this.#take(id, entry);
      for (const id of gone) this.#forget(id);
      for (const [id, entry] of newer) this.#take(id, entry);
    });
  }

  changed(id: string, entry: Entry): PeerChange {
    return this.#after(() => this.#take(id, entry));
  }

  gone(id: string): PeerChange {
    return this.#after(() => this.#forget(id));
  }

  /** What differs afterwards, however often it went back and forth in between. */
  #after(work: () => void): PeerChange {
    this.#before.clear();
    work();
    const changed: Lease[] = [];
    const gone: string[] = [];
    for (const [id, before] of this.#before) {
      const now = this.#peers.get(id);
      if (now === undefined) {
        if (before !== undefined) gone.push(id);
      } else if (before === undefined || !isSameLease(before, now)) changed.push(now);
    }
    return { changed, gone };
  }

  #take(id: string, entry: Entry): void {
    if (id === this.#own.id) return;
    const known = this.#entries.get(id);
    this.#entries.set(id, entry);
    if (known !== undefined && isSameEntry(known, entry)) return;
    const standing = this.#peers.get(id);
    if (standing === undefined) return this.#judge(id, entry);
    if ('unreadable' in entry) {
      this.#refuse(id, { reason: `${entry.unreadable}; the lease that it had stays in use` });
    } else if (isSameLease(standing, entry.lease)) this.#accept(id);
    else this.#judgeAgain(id);
  }

  /** It may have given something up: those who waited for that come after it. */
  #judgeAgain(id: string): void {
    this.#remove(id);
    const entry = this.#entries.get(id);
    if (entry !== undefined) this.#judge(id, entry);
    this.#released(id);
  }

  #judge(id: string, entry: Entry): void {
    if ('unreadable' in entry) return this.#refuse(id, { reason: entry.unreadable });
    const { lease } = entry;
    const wanted = this.#membership.claimOf(lease);
    const objection = this.#membership.objection(lease, wanted);
    if (objection !== undefined) return this.#refuse(id, { reason: objection });
    const conflict = this.#ownClaims.conflict(wanted) ?? this.#claims.conflict(wanted);
    if (conflict !== undefined) {
      return this.#refuse(id, { reason: explain(conflict, this.#own.id), blocker: conflict.holder });
    }
    this.#accept(id);
    this.#touch(id);
    this.#claims.add(wanted);
    this.#peers.set(id, lease);
  }

  #accept(id: string): void {
    const blocker = this.#refusals.get(id)?.blocker;
    if (blocker !== undefined) this.#waiting.get(blocker)?.delete(id);
    this.#refusals.delete(id);
  }

  #refuse(id: string, objection: Objection): void {
    this.#accept(id);
    this.#refusals.set(id, objection);
    const { blocker } = objection;
    if (blocker === undefined) return;
    const waiting = this.#waiting.get(blocker) ?? new Set();
    this.#waiting.set(blocker, waiting.add(id));
  }

  #forget(id: string): void {
    this.#entries.delete(id);
    this.#accept(id);
    this.#remove(id);
    this.#released(id);
  }

  #remove(id: string): void {
    const standing = this.#peers.get(id);
    if (standing === undefined) return;
    this.#touch(id);
    this.#claims.delete(this.#membership.claimOf(standing));
    this.#peers.delete(id);
  }

  /** Whoever waited for this one is judged again. */
  #released(id: string): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    for (const each of waiting ?? []) {
      const entry = this.#entries.get(each);
      if (entry !== undefined) this.#judge(each, entry);
    }
  }

  #touch(id: string): void {
    if (!this.#before.has(id)) this.#before.set(id, this.#peers.get(id));
  }

  #claimsOf(lease: Lease): Claims {
    const claims = new Claims();
    claims.add(this.#membership.claimOf(lease));
    return claims;
  }
}

function explain({ holder, subnet, address }: Conflict, own: string): string {
  if (subnet !== undefined) {
    const [mine, theirs] = subnet;
    const whose = holder === own ? `this node's own ${theirs}` : `${theirs} of ${holder}`;
    return `its subnet ${mine} overlaps ${whose}`;
  }
  return holder === own
    ? `its public address ${address} is this node's own`
    : `its public address ${address} is that of ${holder}`;
}

function isSameLease(one: Lease, other: Lease): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

function isSameEntry(one: Entry, other: Entry): boolean {
  if ('unreadable' in one) return 'unreadable' in other && one.unreadable === other.unreadable;
  return 'lease' in other && isSameLease(one.lease, other.lease);
}
