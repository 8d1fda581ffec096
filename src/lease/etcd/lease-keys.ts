import type { Entry, LeaseSink } from '../registry.ts';
import type { KeySpace, StoredLease } from './key-space.ts';
import type { KeySink } from './key-watch.ts';
import type { KeyValue } from './messages.ts';

/** Tells a registry's sink what the keys of leases mean. */
export class LeaseKeys implements KeySink {
  readonly #keys: KeySpace;
  readonly #sink: LeaseSink;
  readonly #isToBeTold: (lease: StoredLease) => boolean;

  /** `isToBeTold` sees every lease; one that it denies is as good as gone. */
  constructor(keys: KeySpace, sink: LeaseSink, isToBeTold: (lease: StoredLease) => boolean) {
    this.#keys = keys;
    this.#sink = sink;
    this.#isToBeTold = isToBeTold;
  }

  all(kvs: readonly KeyValue[]): void {
    const leases = kvs.map((kv) => this.#keys.leaseOf(kv)).filter((lease) => this.#isToBeTold(lease));
    this.#sink.all(new Map(leases.map(({ id, entry }): [string, Entry] => [id, entry])));
  }

  put(kv: KeyValue): void {
    const lease = this.#keys.leaseOf(kv);
    if (this.#isToBeTold(lease)) this.#sink.changed(lease.id, lease.entry);
    else this.#sink.gone(lease.id);
  }

  deleted(key: string): void {
    this.#sink.gone(this.#keys.idOf(key));
  }

  stale(since: number | undefined, why?: string): void {
    this.#sink.stale(since, why);
  }
}
