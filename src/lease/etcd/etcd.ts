import type { Log } from '../../world/log.ts';
import type { Lease } from '../lease.ts';
import {
  type LeaseOwner,
  type LeaseSink,
  type LeaseWish,
  type Registry,
  RegistryError,
} from '../registry.ts';
import { RestoreBackOff } from '../restore-back-off.ts';
import { EtcdError } from './etcd-error.ts';
import type { StoredLease } from './key-space.ts';
import { KeyWatch } from './key-watch.ts';
import { hasSameAddresses, isLost } from './lease-choice.ts';
import { LeaseKeys } from './lease-keys.ts';
import { leaseValue } from './lease-value.ts';
import type { Listing } from './store.ts';
import { Grant, leaseTime, type Taken, takeLease, type TakingOptions } from './taking.ts';

export interface EtcdRegistryOptions extends TakingOptions {
  /** A lease is renewed so many minutes before it ends (`--subnet-lease-renew-margin`). */
  readonly renewMargin: number;
  readonly log: Log;
}

/** A renewal that failed is tried again so many milliseconds later, as by Go flannel. */
const renewRetry = 60_000;
/** Between two restorings, in milliseconds. Whatever stands under it meanwhile, the key claims the subnet. */
const restoreLimit = 600_000;
/** What was read so many milliseconds ago will do: whoever changes anything sees whether it was right. */
const recent = 10_000;

/**
 * Leases in etcd as Go flannel keeps them: a key a subnet, `<prefix>/subnets/10.5.1.0-24`, which hangs on an etcd lease of a day.
 */
export class EtcdRegistry implements Registry {
  readonly name: string;
  readonly #options: EtcdRegistryOptions;
  /** What this process has written. */
  #taken: Taken | undefined;
  /** What was asked for last, and is kept. It may stand in etcd before etcd's answer says so. */
  #wish: LeaseWish | undefined;
  /** The key that whoever asks knows as this node's. */
  #known: string | undefined;
  /** Of the take that is under way, or was the last. */
  #grant: Grant | undefined;
  /** One after the other, or an older wish would overwrite a newer one. */
  #turn: Promise<unknown> = Promise.resolve();
  #watch: KeyWatch | undefined;
  /** What was read last, and when (monotonic milliseconds): a start asks three times for the same. */
  #listing: (Listing & { readonly at: number }) | undefined;
  #cancelRenewal = (): void => {};
  readonly #restoring: RestoreBackOff;
  #cancelRestoring: (() => void) | undefined;
  #closed = false;

  constructor(options: EtcdRegistryOptions) {
    this.#options = options;
    this.#restoring = new RestoreBackOff(options, restoreLimit);
    this.name = options.store.gateway.name;
  }

  async own(owner: LeaseOwner): Promise<Lease | undefined> {
    const { store, keys } = this.#options;
    const { kvs } = this.#keep(await store.list(keys.leases));
    const known = this.#taken?.id;
    const mine = kvs.flatMap((kv) => {
      const { id, entry } = keys.leaseOf(kv);
      if (!('lease' in entry)) return [];
      const isMine = known === undefined ? hasSameAddresses(entry.lease.attributes, owner) : id === known;
      return isMine ? [entry.lease] : [];
    });
    const isPrevious = ({ subnet, ipv6Subnet }: Lease): boolean =>
      subnet === owner.previous.subnet && ipv6Subnet === owner.previous.ipv6Subnet;
    return mine.find(isPrevious) ?? mine[0];
  }

  acquire(wish: LeaseWish): Promise<Lease> {
    return this.#inTurn(async () => {
      const lease = await this.#take(wish);
      // Whose the former key is now was not told while it was ours, or not heard; nor was the new one told.
      if (lease.id !== this.#known) this.#watch?.relist();
      this.#known = lease.id;
      return lease;
    });
  }

  watch(sink: LeaseSink): () => void {
    const { store, keys, clock, random } = this.#options;
    const leases = new LeaseKeys(keys, sink, (lease) => this.#see(lease));
    const listing = this.#recent();
    const watch = new KeyWatch({ store, range: keys.leases, listing, sink: leases, clock, random });
    this.#watch = watch;
    this.#listing = undefined;
    watch.start();
    return () => watch.close();
  }

  /** There is nobody to tell. */
  complete(): Promise<void> {
    return Promise.resolve();
  }

  /** Ends what it does by itself. The lease stays until its time is over. */
  close(): void {
    this.#closed = true;
    this.#cancelRenewal();
    this.#cancelRestoring?.();
  }

  async #take(wish: LeaseWish): Promise<Lease> {
    const before = this.#taken;
    this.#wish = wish;
    const grant = new Grant(this.#options.store);
    this.#grant = grant;
    const taking = takeLease(this.#options, wish, { own: before, known: this.#recent(), grant });
    const { taken: own, listing } = await taking.catch((error: unknown) => {
      if (!(error instanceof EtcdError)) throw error;
      throw new RegistryError(`cannot take a lease: ${error.message}`, { cause: error });
    });
    this.#taken = own;
    this.#keep(listing);
    this.#renewIn(leaseTime);
    // No key of ours hangs on it any more. If this fails it ends by itself, so nobody waits for it.
    if (before !== undefined && before.leaseId !== '0') {
      this.#options.store.revoke(before.leaseId).catch(() => {});
    }
    return own.lease;
  }

  /** Until there is a watch, which knows better. */
  #keep(listing: Listing): Listing {
    const at = this.#options.clock.monotonic();
    if (this.#watch === undefined) this.#listing = { ...listing, at };
    return listing;
  }

  #recent(): Listing | undefined {
    const listing = this.#listing;
    return listing !== undefined && this.#options.clock.monotonic() - listing.at < recent
      ? listing
      : undefined;
  }

  /**
   * Looks whether somebody has changed our lease. False for one that is not ours any more: as good as gone, so that whoever knows no
   * other asks anew; and for the one that ours has moved to, or moves to, until they know: it would pass for a peer's.
   */
  #see(lease: StoredLease): boolean {
    const [own, wish, known] = [this.#taken, this.#wish, this.#known];
    if (own === undefined || wish === undefined || known === undefined) return true;
    if (lease.id !== own.id) return lease.id !== known && this.#grant?.holds(lease.stored) !== true;
    if (isLost(lease, own, wish)) return false;
    const { modRevision, value } = lease.stored;
    const isAsWished = Buffer.compare(value, Buffer.from(leaseValue(wish.attributes))) === 0;
    if (modRevision > own.modRevision && !isAsWished) this.#restoreLater(lease);
    return lease.id === known;
  }

  #restoreLater({ id, entry }: StoredLease): void {
    if (this.#closed || this.#cancelRestoring !== undefined) return;
    const wait = this.#restoring.next();
    const by = 'lease' in entry ? entry.lease.attributes : entry;
    this.#options.log.warn(
      { lease: id, by, wait },
      `somebody has overwritten the lease ${id} of this node, and it will be written again; ` +
        'has another node the same public address (--public-ip)?',
    );
    this.#againAfter(wait);
  }

  #againAfter(wait: number): void {
    if (this.#closed || this.#cancelRestoring !== undefined) return;
    this.#cancelRestoring = this.#options.clock.after(wait, () => {
      this.#cancelRestoring = undefined;
      this.#again();
    });
  }

  /**
   * Writes what is wished when its turn comes. The daemon waits for nothing here; what fails is tried again, also for a reservation,
   * which has no renewal.
   */
  #again(): void {
    this.#inTurn(async () => {
      if (this.#wish !== undefined) await this.#take(this.#wish);
    }).catch((error: unknown) => {
      this.#options.log.warn(
        {},
        `the lease of this node could not be written again; next try in a minute: ${(error as Error).message}`,
      );
      this.#againAfter(renewRetry);
    });
  }

  #renewIn(seconds: number): void {
    const { renewMargin } = this.#options;
    this.#renewAfter(Math.max((seconds - renewMargin * 60) * 1000, renewRetry));
  }

  #renewAfter(wait: number): void {
    this.#cancelRenewal();
    if (this.#closed || this.#taken?.leaseId === '0') return;
    this.#cancelRenewal = this.#options.clock.after(wait, () => void this.#renew());
  }

  async #renew(): Promise<void> {
    const own = this.#taken;
    if (own === undefined) return;
    const { store, keys, log } = this.#options;
    try {
      const seconds = await store.keepAlive(own.leaseId);
      const { kvs } = await store.list({ key: keys.keyOf(own.id) });
      if (this.#taken !== own) return;
      // A key that hangs on another lease, or none, was written by somebody else, or is gone.
      if (seconds > 0 && kvs[0]?.leaseId === own.leaseId) this.#renewIn(seconds);
      else this.#again();
    } catch (error) {
      log.warn(
        { lease: own.id },
        `the lease could not be renewed; next try in a minute: ${(error as Error).message}`,
      );
      this.#renewAfter(renewRetry);
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }
}
