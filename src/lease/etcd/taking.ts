import { type Clock, sleep } from '../../world/clock.ts';
import type { Random } from '../../world/random.ts';
import type { Lease } from '../lease.ts';
import { type LeaseWish, RegistryError } from '../registry.ts';
import { guardOf } from './guard.ts';
import type { KeySpace } from './key-space.ts';
import { type Choice, chooseLease, type OwnKey, type Ranges } from './lease-choice.ts';
import { leaseValue } from './lease-value.ts';
import type { KeyValue } from './messages.ts';
import type { Change, Comparison, EtcdStore, Listing } from './store.ts';

export interface TakingOptions {
  readonly store: EtcdStore;
  readonly keys: KeySpace;
  readonly ranges: Ranges;
  readonly clock: Clock;
  readonly random: Random;
}

/** A lease that was written. */
export interface Taken extends OwnKey {
  readonly lease: Lease;
  readonly modRevision: bigint;
  /** `0`: a reservation, which does not end. */
  readonly leaseId: string;
}

/** What has come of it: also what there is now, as far as this node knows. What others did since will be told from that revision on. */
export interface Taking {
  readonly taken: Taken;
  readonly listing: Listing;
}

/** What a node has before it takes a lease. */
export interface Before {
  /** What this process wrote last. */
  readonly own: OwnKey | undefined;
  /** What was read a moment ago. */
  readonly known: Listing | undefined;
  /** What the key is to hang on. */
  readonly grant: Grant;
}

/** How long an etcd lease is, in seconds: as Go flannel's. */
export const leaseTime = 86_400;
/** How often other nodes may be quicker in one go. */
const attempts = 100;
/** Milliseconds. */
const longestPause = 500;

/**
 * Takes the lease of this node, or writes it anew: in a transaction that fails when a lease came into being that could overlap it, or
 * this one changed, since all were read. So two nodes never get subnets that overlap, whoever else asks. Rejects with an EtcdError or a
 * {@link RegistryError}.
 */
export async function takeLease(
  options: TakingOptions,
  wish: LeaseWish,
  { own, known, grant }: Before,
): Promise<Taking> {
  const { store, keys, clock, random } = options;
  try {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const listing = attempt === 0 && known !== undefined ? known : await store.list(keys.leases);
      const taking = await attemptToTake(options, listing, wish, own, grant);
      if (taking !== undefined) return taking;
      await sleep(clock, (randomBelow(random, 1000) / 1000) * Math.min(2 ** attempt, longestPause));
    }
  } finally {
    await grant.giveBack();
  }
  throw new RegistryError(
    `cannot take a lease below ${keys.leases.key}: other nodes take theirs at the same time; it is tried again`,
  );
}

/** A whole number from 0, below `count`: at most 65,536. */
function randomBelow(random: Random, count: number): number {
  const [high = 0, low = 0] = random(2);
  return Math.floor(((high * 256 + low) * count) / 65_536);
}

/** An etcd lease for the key, got when it is needed. One that no key came to hang on is given back. */
export class Grant {
  readonly #store: EtcdStore;
  #id: string | undefined;
  #used = false;

  constructor(store: EtcdStore) {
    this.#store = store;
  }

  async get(): Promise<string> {
    this.#id ??= await this.#store.grant(leaseTime);
    return this.#id;
  }

  used(): void {
    this.#used = true;
  }

  /** Whether the key hangs on it. Nobody else knows of it, so the key is this node's. */
  holds({ leaseId }: KeyValue): boolean {
    return leaseId === this.#id;
  }

  async giveBack(): Promise<void> {
    // One that stays ends by itself in a day.
    if (this.#id !== undefined && !this.#used) await this.#store.revoke(this.#id).catch(() => {});
  }
}

async function attemptToTake(
  { store, keys, ranges, random }: TakingOptions,
  { kvs, revision }: Listing,
  wish: LeaseWish,
  own: OwnKey | undefined,
  grant: Grant,
): Promise<Taking | undefined> {
  const leases = kvs.map((kv) => keys.leaseOf(kv));
  const choice = chooseLease({ leases, wish, ranges, own, random: (count) => randomBelow(random, count) });
  if ('full' in choice) throw full(choice.full, keys);
  const { id, subnets, present } = choice;
  const leaseId = present?.stored.leaseId === '0' ? '0' : await grant.get();
  const value = leaseValue(wish.attributes);
  const written = await store.transact(
    comparisons(keys, choice, revision, wish),
    changes(keys, choice, value, leaseId),
  );
  if (written === undefined) return undefined;
  if (leaseId !== '0') grant.used();
  const createRevision = present?.stored.createRevision ?? written;
  const lease = { id, ...subnets, attributes: wish.attributes };
  const key = keys.keyOf(id);
  const replaced = new Set([key, ...choice.obsolete.map(({ stored }) => stored.key)]);
  const stored = { key, value: Buffer.from(value), createRevision, modRevision: written, leaseId };
  const after = { kvs: [...kvs.filter((kv) => !replaced.has(kv.key)), stored], revision };
  return {
    taken: { lease, id, leaseId, createRevision, modRevision: written },
    listing: after,
  };
}

function comparisons(
  keys: KeySpace,
  choice: Choice,
  createdBy: bigint,
  { network }: LeaseWish,
): Comparison[] {
  const { present, obsolete, subnets } = choice;
  const unchanged = [...(present ? [present] : []), ...obsolete].map(({ stored: { key, modRevision } }) => ({
    key,
    modRevision,
  }));
  if (present) return unchanged;
  return [...guardOf(keys, subnets, network.ipv4).map((range) => ({ range, createdBy })), ...unchanged];
}

/** Others hear of it in this order: what goes first is not in the way of what comes. */
function changes(keys: KeySpace, { id, obsolete }: Choice, value: string, leaseId: string): Change[] {
  return [...obsolete.map(({ stored }) => ({ delete: stored.key })), { put: keys.keyOf(id), value, leaseId }];
}

const full = (network: string, { prefix }: KeySpace): RegistryError =>
  new RegistryError(
    `no subnet of ${network} is free in etcd: delete the leases of nodes that are gone (below ${prefix}/subnets/), ` +
      `or use a larger Network or a longer SubnetLen in ${prefix}/config`,
    { withoutSubnet: true },
  );
