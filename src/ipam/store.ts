import type { Address } from '../net/address.ts';
import type { Clock } from '../world/clock.ts';
import { type Allocation, allocate, type Ledger } from './allocate.ts';
import { Directory } from './directory.ts';
import { type Entry, type Owner, ownerKey } from './entry.ts';
import type { Files } from './files.ts';
import { type Flock, LockFile, lockLimit } from './lock-file.ts';
import type { RangeSet } from './range-set.ts';
import { Reservations } from './reservations.ts';
import { type Usage, usageOf } from './usage.ts';

/** An entry with the time its file was written, in milliseconds since the epoch. */
export interface DatedEntry extends Entry {
  readonly modified: number;
}

/** What can be done while the lock is held; of no use afterwards. */
export interface LockedStore {
  /** One address of each set, all or none. Throws an IpamError in host-local's words. */
  allocate(sets: readonly RangeSet[], owner: Owner, requested?: readonly Address[]): Allocation[];
  /**
   * Releases what this interface of the container holds, or, when that is nothing, what files name the container
   * alone; answers what it was. An unknown owner holds nothing.
   */
  release(owner: Owner): Address[];
  /** Releases those of the entries that still have the same owner; answers them. */
  releaseAll(entries: readonly Entry[]): Entry[];
  /** Those of the entries that still have the same owner. */
  stillHeld(entries: readonly Entry[]): Entry[];
  /** Whether the interface, or its container alone, holds an address. */
  has(owner: Owner): boolean;
  entries(): DatedEntry[];
}

/** The addresses of one network. */
export interface Store {
  /**
   * Calls `work` with the lock held: after what was asked for earlier in this process, and with what
   * others have written meanwhile. `work` does not wait for anything, so the lock is held for moments.
   * Rejects with an IpamError `LOCKED` when the lock is not to be had within {@link lockLimit}.
   */
  withLock<T>(work: (store: LockedStore) => T): Promise<T>;
  /**
   * How full each set is, as this process saw it when it last held the lock; before that, empty. It waits
   * for nothing, and so serves a health report.
   */
  usage(sets: readonly RangeSet[]): Usage[];
  close(): void;
}

/** `directory` is `<dataDir>/<network>`; it is made when first needed. */
export function openStore(options: { directory: string; files: Files; flock: Flock; clock: Clock }): Store {
  return new DirectoryStore(options);
}

class DirectoryStore implements Store, LockedStore, Ledger {
  readonly #lock: LockFile;
  readonly #directory: Directory;
  readonly #clock: Clock;
  readonly #reservations = new Reservations();
  readonly #lastReserved = new Map<number, Address | undefined>();
  /** Whether something was made or removed since the lock was taken. */
  #changed = false;
  /** Ends when the request before this one has ended. */
  #turn: Promise<void> = Promise.resolve();

  constructor(options: { directory: string; files: Files; flock: Flock; clock: Clock }) {
    this.#lock = new LockFile(options.directory, options);
    this.#directory = new Directory(options.directory, options);
    this.#clock = options.clock;
  }

  async withLock<T>(work: (store: LockedStore) => T): Promise<T> {
    const deadline = this.#clock.monotonic() + lockLimit;
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    await before;
    try {
      await this.#lock.acquire(deadline);
      return this.#whileLocked(work);
    } finally {
      resolve();
    }
  }

  usage(sets: readonly RangeSet[]): Usage[] {
    return sets.map((set) => usageOf(set, this.occupancy));
  }

  close(): void {
    this.#lock.close();
  }

  allocate(sets: readonly RangeSet[], owner: Owner, requested: readonly Address[] = []): Allocation[] {
    return allocate(this, sets, { ...owner, containerID: owner.containerID.trim() }, requested);
  }

  release(owner: Owner): Address[] {
    const { exact, containerOnly } = this.#reservations.of(owner);
    const held = exact.length > 0 ? exact : containerOnly;
    for (const address of held) this.free(address);
    return held;
  }

  releaseAll(entries: readonly Entry[]): Entry[] {
    const still = this.stillHeld(entries);
    for (const { address } of still) this.free(address);
    return still;
  }

  stillHeld(entries: readonly Entry[]): Entry[] {
    return entries.filter((entry) => {
      const owner = this.#reservations.ownerOf(entry.address);
      return owner !== undefined && ownerKey(owner) === ownerKey(entry);
    });
  }

  has(owner: Owner): boolean {
    return this.heldBy(owner).length > 0;
  }

  entries(): DatedEntry[] {
    return this.#reservations.entries().flatMap((entry) => {
      const modified = this.#directory.modified(entry.address);
      return modified === undefined ? [] : [{ ...entry, modified }];
    });
  }

  get occupancy(): Ledger['occupancy'] {
    return this.#reservations.occupancy;
  }

  lastReserved(set: number): Address | undefined {
    if (!this.#lastReserved.has(set)) this.#lastReserved.set(set, this.#directory.lastReserved(set));
    return this.#lastReserved.get(set);
  }

  reserve(address: Address, owner: Owner): boolean {
    if (this.#reservations.has(address)) return false;
    if (!this.#directory.create(address, owner)) {
      // Somebody wrote without the lock, or a write of ours failed half way: look, and try once more.
      this.#load();
      if (this.#reservations.has(address)) return false;
      if (!this.#directory.create(address, owner)) {
        this.#reservations.add(address, undefined);
        return false;
      }
    }
    this.#changed = true;
    this.#reservations.add(address, owner);
    return true;
  }

  setLastReserved(set: number, address: Address): void {
    this.#directory.setLastReserved(set, address);
    this.#lastReserved.set(set, address);
  }

  free(address: Address): void {
    this.#directory.remove(address);
    this.#changed = true;
    this.#reservations.delete(address);
  }

  heldBy(owner: Owner): Address[] {
    const { exact, containerOnly } = this.#reservations.of(owner);
    return [...exact, ...containerOnly];
  }

  #whileLocked<T>(work: (store: LockedStore) => T): T {
    try {
      if (!this.#directory.isAsSealed()) this.#load();
      return work(this);
    } finally {
      if (this.#changed) this.#directory.seal();
      this.#changed = false;
      this.#lock.release();
    }
  }

  #load(): void {
    this.#directory.unseal();
    const reserved = this.#directory.read();
    this.#reservations.clear();
    this.#lastReserved.clear();
    for (const [address, owner] of reserved) this.#reservations.add(address, owner);
    this.#changed = true;
  }
}
