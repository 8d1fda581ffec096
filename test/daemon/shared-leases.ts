import type { Lease } from '../../src/lease/lease.ts';
import {
  type Entry,
  type LeaseSink,
  type LeaseWish,
  type Registry,
  RegistryError,
} from '../../src/lease/registry.ts';
import { type Prefix, prefix, prefixAddress } from '../../src/net/prefix.ts';
import type { Clock } from '../../src/world/clock.ts';

/** A cluster's leases in memory: what each node's registry looks at. It can be away, and it believes whatever it is told. */
export class SharedLeases {
  readonly entries = new Map<string, Entry>();
  /** How often each node has told that it is up. */
  readonly completed = new Map<string, number>();
  /** Attempts to tell so that fail. */
  refuseComplete = 0;
  /** It answers, and has no subnet for anybody. */
  isFull = false;
  readonly #clock: Clock;
  readonly #sinks = new Set<LeaseSink>();
  #away = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isAway(): boolean {
    return this.#away;
  }

  put(id: string, entry: Entry): void {
    this.entries.set(id, entry);
    if (!this.#away) for (const sink of this.#sinks) sink.changed(id, entry);
  }

  remove(id: string): void {
    this.entries.delete(id);
    if (!this.#away) for (const sink of this.#sinks) sink.gone(id);
  }

  lease(id: string): Lease | undefined {
    const entry = this.entries.get(id);
    return entry !== undefined && 'lease' in entry ? entry.lease : undefined;
  }

  away(): void {
    this.#away = true;
    for (const sink of this.#sinks) sink.stale(this.#clock.now(), 'nobody answers');
  }

  back(): void {
    this.#away = false;
    for (const sink of this.#sinks) this.#tellAll(sink);
  }

  /** One node's view. */
  registry(id: string): Registry {
    return {
      name: 'shared memory',
      own: () => this.#answer(() => this.lease(id)),
      acquire: (wish) => this.#answer(() => this.#acquire(id, wish)),
      watch: (sink) => this.#watch(sink),
      complete: () =>
        this.#answer(() => {
          if (this.refuseComplete-- > 0) throw new RegistryError('not now');
          this.completed.set(id, (this.completed.get(id) ?? 0) + 1);
        }),
    };
  }

  async #answer<T>(work: () => T): Promise<T> {
    await Promise.resolve();
    if (this.#away) throw new RegistryError('nobody answers');
    return work();
  }

  #watch(sink: LeaseSink): () => void {
    this.#sinks.add(sink);
    const cancel = this.#clock.after(1, () => {
      if (this.#away) sink.stale(this.#clock.now(), 'nobody answers');
      else this.#tellAll(sink);
    });
    return () => {
      cancel();
      this.#sinks.delete(sink);
    };
  }

  #tellAll(sink: LeaseSink): void {
    sink.all(new Map(this.entries));
    sink.stale(undefined);
  }

  /** The subnet that it has, else the one that it had, else the lowest free one. */
  #acquire(id: string, { attributes, network, previous }: LeaseWish): Lease {
    const before = this.lease(id);
    if (this.isFull) throw new RegistryError('no subnet is free', { withoutSubnet: true });
    const n = before === undefined ? this.#numberFor(previous.subnet) : numberOf(before.subnet);
    const lease: Lease = {
      id,
      ...(network.ipv4 && { subnet: subnetOf(n) }),
      ...(network.ipv6 && { ipv6Subnet: ipv6SubnetOf(n) }),
      attributes,
    };
    if (JSON.stringify(lease) !== JSON.stringify(before)) this.put(id, { lease });
    return lease;
  }

  #numberFor(previous: Prefix | undefined): number {
    const taken = new Set([...this.entries.keys()].map((id) => numberOf(this.lease(id)?.subnet)));
    const wanted = numberOf(previous);
    if (wanted > 0 && !taken.has(wanted)) return wanted;
    for (let n = 1; ; n++) if (!taken.has(n)) return n;
  }
}

export const subnetOf = (n: number): Prefix => prefix(`10.244.${n}.0/24`);
const ipv6SubnetOf = (n: number): Prefix => prefix(`fd00:244:0:${n.toString(16)}::/64`);

/** 10.244.N.0/24; 0 for what is none. */
const numberOf = (subnet: Prefix | undefined): number =>
  subnet?.startsWith('10.244.') === true ? Number(prefixAddress(subnet).split('.')[2]) : 0;
