import type { Family } from '../../net/address.ts';
import { overlaps, type Prefix } from '../../net/prefix.ts';
import { freeSubnets, isInRange, type SubnetRange, takenOf } from '../allocate.ts';
import type { LeaseAttributes } from '../lease.ts';
import type { LeaseOwner, LeaseWish } from '../registry.ts';
import type { StoredLease } from './key-space.ts';
import { parseSubnetKey, subnetKey, type Subnets } from './subnet-key.ts';

export interface Ranges {
  readonly ipv4?: SubnetRange;
  readonly ipv6?: SubnetRange;
}

/** The lease that this process wrote: from then on nothing else is this node's, whatever address it names. */
export interface OwnKey {
  readonly id: string;
  /** Of the key; another one means that the lease had ended, and somebody took the subnet. */
  readonly createRevision: bigint;
}

export interface Choice {
  readonly id: string;
  readonly subnets: Subnets;
  /** What stands at that key and is this node's own. */
  readonly present?: StoredLease;
  /** Leases that this node had and needs no more. */
  readonly obsolete: readonly StoredLease[];
}

export interface ChoiceInput {
  readonly leases: readonly StoredLease[];
  readonly wish: LeaseWish;
  readonly ranges: Ranges;
  readonly own: OwnKey | undefined;
  /** A random whole number from 0, below `count`. */
  readonly random: (count: number) => number;
}

/** As Go flannel: nodes that start at once seldom want the same subnet. */
const candidates = 100;

/** A family of the network in which no subnet is free. */
export interface Full {
  readonly full: Prefix;
}

/**
 * Which lease a node takes. A family's subnet is at start the one that it had before (`previous`, where its pods are) if that is
 * its own or free, else that of another lease of its own, else one of the first hundred that are free.
 */
export function chooseLease(input: ChoiceInput): Choice | Full {
  const { leases, wish, own } = input;
  const mine = leases.filter((lease) => isMine(lease, wish, own));
  const chosen: { subnet?: Prefix; ipv6Subnet?: Prefix } = {};
  for (const [family, key] of [[4, 'subnet'] as const, [6, 'ipv6Subnet'] as const]) {
    const network = family === 4 ? wish.network.ipv4 : wish.network.ipv6;
    if (network === undefined) continue;
    const subnet = chooseSubnet(family, key, network, input, mine);
    if (subnet === undefined) return { full: network };
    chosen[key] = subnet;
  }
  const id = subnetKey(chosen);
  const present = mine.find((lease) => lease.id === id);
  const obsolete = mine.filter((lease) => lease !== present && lease.stored.leaseId !== '0');
  return { id, subnets: chosen, ...(present && { present }), obsolete };
}

/** Whether somebody else has this process's key: it was gone for a while, and names another node now. */
export function isLost({ id, entry, stored }: StoredLease, own: OwnKey, wish: LeaseWish): boolean {
  if (id !== own.id || stored.createRevision === own.createRevision) return false;
  return !('lease' in entry && hasSameAddresses(entry.lease.attributes, wish));
}

/** This node's lease, as far as a process that has not taken one yet can tell: by its public addresses, as Go flannel does. */
export const hasSameAddresses = (
  { publicIP, publicIPv6 }: LeaseAttributes,
  { attributes, network }: LeaseOwner,
): boolean =>
  (network.ipv4 === undefined || (publicIP !== undefined && publicIP === attributes.publicIP)) &&
  (network.ipv6 === undefined ||
    // From before the network had IPv6.
    (publicIPv6 === undefined && network.ipv4 !== undefined) ||
    (publicIPv6 !== undefined && publicIPv6 === attributes.publicIPv6));

function isMine(lease: StoredLease, wish: LeaseWish, own: OwnKey | undefined): boolean {
  if (own !== undefined) return lease.id === own.id && !isLost(lease, own, wish);
  return 'lease' in lease.entry && hasSameAddresses(lease.entry.lease.attributes, wish);
}

/** Of a lease that this process has, or had until it was gone. */
function subnetsOf({ id }: OwnKey): Subnets {
  const subnets = parseSubnetKey(id);
  return typeof subnets === 'string' ? {} : subnets;
}

function chooseSubnet(
  family: Family,
  key: keyof Subnets,
  network: Prefix,
  { leases, wish, ranges, own, random }: ChoiceInput,
  mine: readonly StoredLease[],
): Prefix | undefined {
  const range = family === 4 ? ranges.ipv4 : ranges.ipv6;
  if (range === undefined) return undefined;
  const others = leases.filter((lease) => !mine.includes(lease));
  const taken = takenOf(
    network,
    others.flatMap(({ subnets }) => subnets[key] ?? []),
  );
  const held = mine.map(({ subnets }) => subnets[key]);
  const known = (
    own === undefined ? [wish.previous[key], ...held] : [...held, subnetsOf(own)[key], wish.previous[key]]
  ).find(
    (subnet) =>
      subnet !== undefined && isInRange(range, subnet) && !taken.some((other) => overlaps(other, subnet)),
  );
  if (known !== undefined) return known;
  const free: Prefix[] = [];
  for (const subnet of freeSubnets(range, taken)) if (free.push(subnet) === candidates) break;
  return free.length === 0 ? undefined : free[random(free.length)];
}
