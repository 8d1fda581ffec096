import { type Address, addressToInteger } from '../net/address.ts';
import {
  containsPrefix,
  firstAddress,
  lastAddress,
  overlaps,
  type Prefix,
  prefixFamily,
  prefixLength,
} from '../net/prefix.ts';
import type { Lease, PodNetwork, Refusal } from './lease.ts';
import type { Entry } from './registry.ts';

/** What a change of the registry means for the peers. */
export interface PeerChange {
  /** New, or with other attributes. */
  readonly changed: readonly Lease[];
  readonly gone: readonly string[];
}

/**
 * All leases of a registry, judged: which are peers, and why the others are not. Whoever held a subnet or an address
 * first keeps it until it is gone; then the others are judged again. Costs of a change do not grow with the
 * number of leases.
 */
export class LeaseBook {
  readonly #network: PodNetwork;
  readonly #entries = new Map<string, Entry>();
  readonly #peers = new Map<string, Lease>();
  readonly #refusals = new Map<string, string>();
  readonly #claims = new Claims();
  #own: Lease;

  /** `own` is this node's lease: nobody else's may touch it. */
  constructor(network: PodNetwork, own: Lease) {
    this.#network = network;
    this.#own = own;
  }

  get peers(): ReadonlyMap<string, Lease> {
    return this.#peers;
  }

  get refusals(): Refusal[] {
    return [...this.#refusals].map(([id, reason]) => ({ id, reason }));
  }

  /** This node's lease has changed. */
  setOwn(own: Lease): PeerChange {
    this.#own = own;
    return this.#after(() => {
      for (const lease of this.#peers.values())
        if (this.#objection(lease) !== undefined) this.#drop(lease.id);
      this.#judgeRefused();
    });
  }

  /** All there is now; what is not among it is gone. Those that are peers already go first: they are the older ones. */
  all(entries: ReadonlyMap<string, Entry>): PeerChange {
    return this.#after(() => {
      for (const id of this.#entries.keys()) if (!entries.has(id)) this.#forget(id);
      const older = [...entries].filter(([id]) => this.#peers.has(id));
      const newer = [...entries].filter(([id]) => !this.#peers.has(id));
      for (const [id, entry] of [...older, ...newer]) this.#take(id, entry);
      this.#judgeRefused();
    });
  }

  changed(id: string, entry: Entry): PeerChange {
    return this.#after(() => {
      this.#take(id, entry);
      this.#judgeRefused();
    });
  }

  gone(id: string): PeerChange {
    return this.#after(() => {
      this.#forget(id);
      this.#judgeRefused();
    });
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

  /** The peers that were touched, as they were. */
  readonly #before = new Map<string, Lease | undefined>();

  #touch(id: string): void {
    if (!this.#before.has(id)) this.#before.set(id, this.#peers.get(id));
  }

  #take(id: string, entry: Entry): void {
    if (id === this.#own.id) return;
    this.#entries.set(id, entry);
    const standing = this.#peers.get(id);
    if (standing !== undefined && 'lease' in entry && isSameLease(standing, entry.lease)) return;
    this.#drop(id);
    this.#judge(id, entry);
  }

  #judge(id: string, entry: Entry): void {
    const reason = 'unreadable' in entry ? entry.unreadable : this.#objection(entry.lease);
    if (reason !== undefined || 'unreadable' in entry) {
      this.#refusals.set(id, reason ?? '');
      return;
    }
    this.#touch(id);
    this.#refusals.delete(id);
    this.#peers.set(id, entry.lease);
    this.#claims.add(entry.lease);
  }

  /** Whoever gave something up may have made room for others. */
  #judgeRefused(): void {
    for (const id of this.#refusals.keys()) {
      const entry = this.#entries.get(id);
      if (entry !== undefined && 'lease' in entry) this.#judge(id, entry);
    }
  }

  #drop(id: string): void {
    const lease = this.#peers.get(id);
    if (lease === undefined) return;
    this.#touch(id);
    this.#peers.delete(id);
    this.#claims.delete(lease);
    const entry = this.#entries.get(id);
    if (entry !== undefined) this.#refusals.set(id, '');
  }

  #forget(id: string): void {
    this.#entries.delete(id);
    this.#drop(id);
    this.#refusals.delete(id);
  }

  #objection(lease: Lease): string | undefined {
    return (
      familyObjection(lease, this.#network) ?? ownObjection(lease, this.#own) ?? this.#claims.objection(lease)
    );
  }
}

const subnetsOf = ({ subnet, ipv6Subnet }: Lease): Prefix[] =>
  [subnet, ipv6Subnet].flatMap((each) => each ?? []);

const addressesOf = ({ attributes: { publicIP, publicIPv6 } }: Lease): Address[] =>
  [publicIP, publicIPv6].flatMap((each) => each ?? []);

/** As Go flannel: a node is a peer when it has a subnet and a public address in each family of the network. */
function familyObjection(lease: Lease, network: PodNetwork): string | undefined {
  const { publicIP, publicIPv6 } = lease.attributes;
  const families = [
    { name: 'IPv4', network: network.ipv4, subnet: lease.subnet, publicIP },
    { name: 'IPv6', network: network.ipv6, subnet: lease.ipv6Subnet, publicIP: publicIPv6 },
  ];
  for (const family of families) {
    if (family.network === undefined) continue;
    if (family.subnet === undefined) return `it has no ${family.name} subnet, which this network needs`;
    if (!containsPrefix(family.network, family.subnet)) {
      return `its subnet ${family.subnet} is outside of the network ${family.network}`;
    }
    if (prefixLength(family.subnet) === prefixLength(family.network)) {
      return `its subnet ${family.subnet} is the whole network`;
    }
    if (family.publicIP === undefined) return `it has no public ${family.name} address`;
  }
  return undefined;
}

function ownObjection(lease: Lease, own: Lease): string | undefined {
  for (const subnet of subnetsOf(lease)) {
    const ours = subnetsOf(own).find((each) => overlaps(each, subnet));
    if (ours !== undefined) return `its subnet ${subnet} overlaps this node's own ${ours}`;
  }
  const address = addressesOf(lease).find((each) => addressesOf(own).includes(each));
  return address === undefined ? undefined : `its public address ${address} is this node's own`;
}

function isSameLease(one: Lease, other: Lease): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

/** Who holds which subnet and address. Subnets of one network are mostly of one length: they are found by their first address. */
class Claims {
  readonly #addresses = new Map<Address, string>();
  /** By family and length: first address -> holder. */
  readonly #subnets = new Map<string, Map<bigint, string>>();

  add(lease: Lease): void {
    for (const address of addressesOf(lease)) this.#addresses.set(address, lease.id);
    for (const subnet of subnetsOf(lease)) this.#table(subnet).set(first(subnet), lease.id);
  }

  delete(lease: Lease): void {
    for (const address of addressesOf(lease)) this.#addresses.delete(address);
    for (const subnet of subnetsOf(lease)) this.#table(subnet).delete(first(subnet));
  }

  objection(lease: Lease): string | undefined {
    for (const subnet of subnetsOf(lease)) {
      const holder = this.#holderOf(subnet);
      if (holder !== undefined && holder !== lease.id)
        return `its subnet ${subnet} overlaps that of ${holder}`;
    }
    for (const address of addressesOf(lease)) {
      const holder = this.#addresses.get(address);
      if (holder !== undefined && holder !== lease.id)
        return `its public address ${address} is that of ${holder}`;
    }
    return undefined;
  }

  #table(subnet: Prefix): Map<bigint, string> {
    const key = `${prefixFamily(subnet)}/${prefixLength(subnet)}`;
    const table = this.#subnets.get(key) ?? new Map<bigint, string>();
    this.#subnets.set(key, table);
    return table;
  }

  #holderOf(subnet: Prefix): string | undefined {
    const from = first(subnet);
    const to = addressToInteger(lastAddress(subnet));
    for (const [key, table] of this.#subnets) {
      const [family, length] = key.split('/').map(Number);
      if (family !== prefixFamily(subnet)) continue;
      const holder =
        Number(length) <= prefixLength(subnet)
          ? table.get(from - (from % ((to - from + 1n) << BigInt(prefixLength(subnet) - Number(length)))))
          : [...table].find(([start]) => start >= from && start <= to)?.[1];
      if (holder !== undefined) return holder;
    }
    return undefined;
  }
}

const first = (subnet: Prefix): bigint => addressToInteger(firstAddress(subnet));
