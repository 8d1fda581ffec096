import { BackOff } from '../../http/back-off.ts';
import { type Clock, sleep } from '../../world/clock.ts';
import type { Random } from '../../world/random.ts';
import type { KeyRange } from './key-space.ts';
import type { KeyValue, WatchMessage } from './messages.ts';
import type { EtcdStore, Listing } from './store.ts';

/** What becomes of a range of keys. */
export interface KeySink {
  /** All there are: first, and again after every gap. */
  all(kvs: readonly KeyValue[]): void;
  put(kv: KeyValue): void;
  deleted(key: string): void;
  /** As in a registry's sink. */
  stale(since: number | undefined, why?: string): void;
}

export interface KeyWatchOptions {
  readonly store: EtcdStore;
  readonly range: KeyRange;
  /** What is known of the range already: it need not be listed first. */
  readonly listing?: Listing | undefined;
  readonly sink: KeySink;
  readonly clock: Clock;
  readonly random: Random;
}

/** Milliseconds. */
const retryLimits = { first: 100, longest: 5_000 };
/** A watch on which nothing happens may be a dead one: etcd is asked whether it lives as often as this, in milliseconds. */
const probeInterval = 30_000;
/** All is listed again as often as this, in milliseconds: an etcd that was restored may count its revisions on from another past. */
const auditInterval = 3_600_000;

/** What was missed cannot be told any more: it must be listed. */
class Gap extends Error {}

/** Follows a range of keys for ever: lists it, then watches on from there. */
export class KeyWatch {
  readonly #options: KeyWatchOptions;
  readonly #stop = new AbortController();
  readonly #backOff: BackOff;
  /** Ends the watch that is open. */
  #interrupt = new AbortController();
  /** All up to it was told; undefined: nothing was, or there is a gap. */
  #revision: bigint | undefined;
  #staleSince: number | undefined;
  /** When the watch that is open, or the one before, was lost. */
  #lostAt: number | undefined;
  #cancelAudit = (): void => {};

  constructor(options: KeyWatchOptions) {
    this.#options = options;
    this.#backOff = new BackOff(retryLimits, options.random);
  }

  start(): void {
    const { listing, sink } = this.#options;
    if (listing !== undefined) {
      sink.all(listing.kvs);
      this.#revision = listing.revision;
    }
    this.#auditLater();
    void this.#run();
  }

  /** Lists again: what was told before may be judged otherwise now. */
  relist(): void {
    this.#revision = undefined;
    this.#interrupt.abort();
  }

  close(): void {
    this.#cancelAudit();
    this.#stop.abort();
    this.#interrupt.abort();
  }

  #auditLater(): void {
    this.#cancelAudit = this.#options.clock.after(auditInterval, () => {
      this.relist();
      this.#auditLater();
    });
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#follow();
      } catch (error) {
        await this.#failed(error as Error);
      }
    }
  }

  async #follow(): Promise<void> {
    const { store, range, sink } = this.#options;
    this.#interrupt = new AbortController();
    const { signal } = this.#interrupt;
    if (this.#revision === undefined) {
      const { kvs, revision } = await store.list(range);
      if (signal.aborted || this.#stop.signal.aborted) return;
      sink.all(kvs);
      this.#revision = revision;
    }
    const next = this.#revision + 1n;
    const endProbe = this.#probe();
    try {
      for await (const message of store.watch(range, next, signal)) {
        if (this.#stop.signal.aborted || signal.aborted) return;
        this.#take(message, next);
      }
    } finally {
      endProbe();
    }
    if (!signal.aborted) throw new Error(`${store.gateway.name} has ended the watch`);
  }

  #take(message: WatchMessage, next: bigint): void {
    const { store, sink } = this.#options;
    if (message.is === 'canceled') {
      if (message.compacted) throw new Gap('it was compacted');
      throw store.gateway.ended(message.why);
    }
    // Another etcd, or one that was restored: what it says next would not be what we wait for.
    if (message.revision + 1n < next) throw new Gap('its revision is an older one');
    this.#lives();
    if (message.is === 'created') return;
    for (const event of message.events) {
      if ('put' in event) sink.put(event.put);
      else sink.deleted(event.deleted);
    }
    this.#revision = message.revision;
  }

  #lives(): void {
    this.#backOff.reset();
    this.#lostAt = undefined;
    if (this.#staleSince === undefined) return;
    this.#staleSince = undefined;
    this.#options.sink.stale(undefined);
  }

  async #failed(error: Error): Promise<void> {
    const { clock } = this.#options;
    if (this.#stop.signal.aborted || this.#interrupt.signal.aborted) return;
    if (error instanceof Gap) {
      this.#revision = undefined;
      return;
    }
    // One that was good until now is opened again at once, perhaps elsewhere; nobody has to hear of it if that works.
    const isFirst = this.#lostAt === undefined && this.#revision !== undefined;
    this.#lostAt ??= clock.now();
    if (isFirst) return;
    this.#isAway(error);
    await sleep(clock, this.#backOff.next(), this.#stop.signal);
  }

  #isAway(error: Error): void {
    const { clock, sink } = this.#options;
    this.#lostAt ??= clock.now();
    this.#staleSince ??= this.#lostAt;
    sink.stale(this.#staleSince, error.message);
  }

  /** A member that hangs keeps the connection: when it does not answer, or another one has to, the watch is opened anew. */
  #probe(): () => void {
    const { store, range, clock } = this.#options;
    const { gateway } = store;
    const { endpoint } = gateway;
    const interrupt = this.#interrupt;
    let isOver = false;
    const probe = (): void => {
      const again = (): void => {
        if (isOver) return;
        if (gateway.endpoint !== endpoint) interrupt.abort();
        if (!interrupt.signal.aborted) cancel = clock.after(probeInterval, probe);
      };
      store.answers(range.key).then(again, (error: Error) => {
        if (isOver || interrupt.signal.aborted) return;
        this.#isAway(error);
        interrupt.abort();
      });
    };
    let cancel = clock.after(probeInterval, probe);
    return () => {
      isOver = true;
      cancel();
    };
  }
}
