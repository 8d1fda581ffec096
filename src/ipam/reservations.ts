import { type Address, addressToInteger, familyOf } from '../net/address.ts';
import type { Entry, Owner } from './entry.ts';
import { Occupancy } from './occupancy.ts';

/** The reserved addresses of one network, found by address and by container. */
export class Reservations {
  readonly occupancy = { 4: new Occupancy(), 6: new Occupancy() } as const;
  /** An address without an owner is taken by something that cannot be read. */
  readonly #owners = new Map<Address, Owner | undefined>();
  readonly #addresses = new Map<string, Set<Address>>();

  has(address: Address): boolean {
    return this.#owners.has(address);
  }

  ownerOf(address: Address): Owner | undefined {
    return this.#owners.get(address);
  }

  add(address: Address, owner: Owner | undefined): void {
    this.delete(address);
    this.#owners.set(address, owner);
    this.occupancy[familyOf(address)].add(addressToInteger(address));
    if (owner === undefined) return;
    const addresses = this.#addresses.get(owner.containerID);
    if (addresses === undefined) this.#addresses.set(owner.containerID, new Set([address]));
    else addresses.add(address);
  }

  delete(address: Address): void {
    const owner = this.#owners.get(address);
    if (!this.#owners.delete(address)) return;
    this.occupancy[familyOf(address)].delete(addressToInteger(address));
    const addresses = owner && this.#addresses.get(owner.containerID);
    if (addresses?.delete(address) === true && addresses.size === 0)
      this.#addresses.delete(owner?.containerID ?? '');
  }

  clear(): void {
    this.#owners.clear();
    this.#addresses.clear();
    this.occupancy[4].clear();
    this.occupancy[6].clear();
  }

  /** The addresses of this very interface, and those of files that name the container alone. */
  of({ containerID, ifname }: Owner): { exact: Address[]; containerOnly: Address[] } {
    const addresses = [...(this.#addresses.get(containerID.trim()) ?? [])];
    const named = (name: string) => addresses.filter((address) => this.#owners.get(address)?.ifname === name);
    return { exact: named(ifname), containerOnly: ifname === '' ? [] : named('') };
  }

  entries(): Entry[] {
    const entries: Entry[] = [];
    for (const [address, owner] of this.#owners) if (owner) entries.push({ address, ...owner });
    return entries;
  }
}
