import { prefixFamily } from '../net/prefix.ts';
import type { ActualObject } from './actual.ts';
import type { Ownership } from './desired.ts';
import { fits } from './fit.ts';
import { type KernelObject, keyOf, type ObjectKey } from './object.ts';
import { linkOperation, type Operation } from './operation.ts';
import { isOurs } from './ownership.ts';

export type DesiredObjects = ReadonlyMap<ObjectKey, KernelObject>;
/** IPv4 routes and FDB entries can be there several times under one key, in the kernel's order. */
export type ActualObjects = ReadonlyMap<ObjectKey, readonly ActualObject[]>;

export interface Difference {
  /** In an order in which one after the other succeeds. */
  readonly operations: readonly Operation[];
  /** Where something foreign stands in the place of a desired object: reported, and left alone. */
  readonly foreign: ReadonlyMap<ObjectKey, ActualObject>;
  /** Desired, and it must wait for a link of ours that is not there. */
  readonly waiting: readonly ObjectKey[];
}

export interface Scope {
  /** Only these; all of both when left out. When a link is made anew, all that is on it must be among them. */
  readonly keys?: Iterable<ObjectKey>;
  /** False while not everything that is desired is known: then nothing goes. */
  readonly removals: boolean;
}

/**
 * What has to be done so that `actual` becomes `desired`. Pure. Objects that are not ours stay as they are.
 */
export function diff(
  desired: DesiredObjects,
  actual: ActualObjects,
  ownership: Ownership,
  { keys = allKeys(desired, actual), removals }: Scope = { removals: true },
): Difference {
  const comparison = new Comparison(desired, actual, ownership, removals);
  const ranks: ObjectKey[][] = [[], [], []];
  for (const key of keys) ranks[rankOf(key)]?.push(key);
  for (const rank of ranks) for (const key of rank) comparison.compare(key);
  return comparison;
}

/** Links first: what is on one that goes, or is made anew, is as good as gone. Next hops before the routes that use them. */
const rankOf = (key: ObjectKey): number => (key.startsWith('link ') ? 0 : key.startsWith('nexthop ') ? 1 : 2);
export const linkKey = (name: string): ObjectKey => keyOf({ kind: 'link', name });

function* allKeys(desired: DesiredObjects, actual: ActualObjects): Generator<ObjectKey, void> {
  yield* desired.keys();
  for (const key of actual.keys()) if (!desired.has(key)) yield key;
}

/**
 * Routes that are superfluous go first, where they could lead a new route's gateway astray. Everything else that is
 * superfluous goes last: as long as a peer's new entries are not in place, the old ones serve.
 */
const order = [
  'remove route',
  'remove link',
  'link',
  'wireguard',
  'wireguardPeer',
  'address',
  'neighbour',
  'fdb',
  'nexthop',
  'route',
] as const;
const lastly = [
  'remove wireguardPeer',
  'remove nexthop',
  'remove fdb',
  'remove neighbour',
  'remove address',
] as const;
type Stage = (typeof order)[number] | (typeof lastly)[number];

class Comparison implements Difference {
  readonly foreign = new Map<ObjectKey, ActualObject>();
  readonly waiting: ObjectKey[] = [];
  readonly #stages = new Map<Stage, Operation[]>();
  /** Links that go or are made anew. */
  readonly #unmade = new Set<string>();
  readonly #made = new Set<string>();
  readonly #desired: DesiredObjects;
  readonly #actual: ActualObjects;
  readonly #ownership: Ownership;
  readonly #removals: boolean;

  constructor(desired: DesiredObjects, actual: ActualObjects, ownership: Ownership, removals: boolean) {
    this.#desired = desired;
    this.#actual = actual;
    this.#ownership = ownership;
    this.#removals = removals;
  }

  get operations(): Operation[] {
    return [...order, ...lastly].flatMap((stage) => this.#stages.get(stage) ?? []);
  }

  compare(key: ObjectKey): void {
    const wanted = this.#desired.get(key);
    const found = this.#found(key);
    if (wanted === undefined) this.#remove(key, found);
    else if (!this.#hasItsLink(wanted) || !this.#hasItsNexthop(wanted)) this.waiting.push(key);
    else this.#compare(key, wanted, found);
  }

  #compare(key: ObjectKey, wanted: KernelObject, found: readonly ActualObject[]): void {
    const fitting = found.find((object) => fits(wanted, object));
    if (fitting !== undefined) {
      if (found.length > 1)
        this.#remove(
          key,
          found.filter((object) => object !== fitting),
        );
      return;
    }
    const foreign = found.find((object) => !isOurs(object, this.#ownership));
    if (foreign !== undefined) {
      this.foreign.set(key, foreign);
      return;
    }
    const [was, ...others] = found;
    if (was === undefined) this.#add({ key, verb: 'add', object: wanted });
    else this.#replace(key, wanted, was);
    this.#remove(key, others);
  }

  #add(operation: Operation): void {
    const { kind } = operation.object;
    if (kind === 'link' && operation.verb !== 'change') this.#made.add(operation.object.name);
    this.#stage(kind, operation);
  }

  #replace(key: ObjectKey, wanted: KernelObject, was: ActualObject): void {
    if (wanted.kind === 'link' && was.kind === 'link') {
      const operation = linkOperation(key, wanted, was);
      if (operation.verb === 'replace') this.#unmade.add(was.name);
      this.#add(operation);
    } else if (leadsAstray(wanted, was)) {
      this.#stage('remove route', { key, verb: 'remove', object: was });
      this.#add({ key, verb: 'add', object: wanted });
    } else this.#add({ key, verb: 'replace', object: wanted, was });
  }

  #remove(key: ObjectKey, objects: readonly ActualObject[]): void {
    if (!this.#removals) return;
    for (const object of objects) {
      // What a device is set to goes with it.
      if (!isOurs(object, this.#ownership) || object.kind === 'wireguard') continue;
      if (object.kind === 'link') this.#unmade.add(object.name);
      this.#stage(`remove ${object.kind}`, { key, verb: 'remove', object });
    }
  }

  #stage(stage: Stage, operation: Operation): void {
    const operations = this.#stages.get(stage);
    if (operations === undefined) this.#stages.set(stage, [operation]);
    else operations.push(operation);
  }

  /** What will be there when the links have been dealt with. */
  #found(key: ObjectKey): readonly ActualObject[] {
    const found = this.#actual.get(key) ?? [];
    if (this.#unmade.size === 0 || found.length === 0) return found;
    return found.filter(
      (object) => object.kind === 'link' || object.link === undefined || !this.#unmade.has(object.link),
    );
  }

  #hasItsLink(wanted: KernelObject): boolean {
    if (wanted.kind === 'link' || wanted.link === undefined || !this.#ownership.links.has(wanted.link))
      return true;
    if (this.#made.has(wanted.link)) return true;
    return this.#actual.has(linkKey(wanted.link)) && !this.#unmade.has(wanted.link);
  }

  /** By another one's next hop it would lead anywhere. It is compared after its own: see {@link rankOf}. */
  #hasItsNexthop(wanted: KernelObject): boolean {
    return (
      wanted.kind !== 'route' ||
      wanted.nexthop === undefined ||
      !this.foreign.has(keyOf({ kind: 'nexthop', id: wanted.nexthop }))
    );
  }
}

/**
 * IPv6: the kernel refuses an onlink gateway that a route through another device covers, and it is this very route
 * that does. So it goes before the new one comes.
 */
function leadsAstray(wanted: KernelObject, was: ActualObject): boolean {
  if (wanted.kind !== 'route' || was.kind !== 'route') return false;
  return wanted.onlink && wanted.link !== was.link && prefixFamily(wanted.destination) === 6;
}
