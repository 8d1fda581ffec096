import * as k from '../netlink/constants.ts';
import type { LinkMessage } from '../netlink/route/link.ts';
import type { NeighbourMessage } from '../netlink/route/neighbour.ts';
import type { RouteNotification } from '../netlink/route/notification.ts';
import type { ActualLink, ActualObject } from './actual.ts';
import { linkKey } from './diff.ts';
import { isSame } from './fit.ts';
import { LinkNames } from './link-names.ts';
import { type KernelObject, keyOf, type ObjectKey } from './object.ts';
import { addressFrom, fdbFrom, linkFrom, neighbourFrom, nexthopFrom, routeFrom } from './observe.ts';

/** What a notification may have changed: one object, or more than it says. */
export type Change = ObjectKey | 'everything' | undefined;

/** What is to be known of all that the kernel has. */
export interface Relevance {
  wanted(key: ObjectKey): KernelObject | undefined;
  isOurs(object: ActualObject): boolean;
  isOurLink(name: string): boolean;
  /** A link that one of ours stands on. */
  isLower(name: string): boolean;
}

/** The node's network as the kernel last described it. */
export class Mirror {
  readonly names = new LinkNames();
  readonly #objects = new Map<ObjectKey, readonly ActualObject[]>();
  /** Links that are up, and carry: without one of both the kernel drops next hops, and routes too, without a word. */
  readonly #up = new Set<number>();
  /** How many objects are on a link, by its name: when it goes down some of them go, without a word. */
  readonly #objectsOn = new Map<string, number>();
  readonly #relevance: Relevance;

  constructor(relevance: Relevance) {
    this.#relevance = relevance;
  }

  get objects(): ReadonlyMap<ObjectKey, readonly ActualObject[]> {
    return this.#objects;
  }

  /** As read in a dump. */
  add(object: ActualObject): void {
    const key = keyOf(object);
    const wanted = this.#relevance.wanted(key);
    if (wanted === undefined && !this.#relevance.isOurs(object)) return;
    // One object instead of two that are alike: there are thousands.
    const kept = wanted !== undefined && wanted.kind !== 'link' && isSame(wanted, object) ? wanted : object;
    const found = this.#objects.get(key);
    this.put(key, found === undefined ? [kept] : [...found, kept]);
  }

  addLink(message: LinkMessage): void {
    this.#noteLink(message);
    const link = linkFrom(message, this.names);
    if (this.#relevance.isOurLink(link.name)) this.put(linkKey(link.name), [link]);
  }

  put(key: ObjectKey, objects: readonly ActualObject[]): void {
    this.#count(this.#objects.get(key), -1);
    if (objects.length === 0) this.#objects.delete(key);
    else this.#objects.set(key, objects);
    this.#count(objects, 1);
  }

  /** A link is gone or was made anew, and with it all that was on it. */
  forgetOn(link: string): void {
    for (const [key, objects] of this.#objects) {
      if (objects.some((object) => object.kind !== 'link' && object.link === link)) {
        this.put(
          key,
          objects.filter((object) => object.kind === 'link' || object.link !== link),
        );
      }
    }
  }

  /** All that a WireGuard device holds. Answers the keys of what is not as it was. */
  takeTunnel(link: string, objects: readonly ActualObject[]): ObjectKey[] {
    const fresh = new Map(objects.map((object) => [keyOf(object), object]));
    const changed: ObjectKey[] = [];
    for (const [key, [before]] of this.#objects) {
      if (before?.kind !== 'wireguard' && before?.kind !== 'wireguardPeer') continue;
      if (before.link !== link) continue;
      const now = fresh.get(key);
      fresh.delete(key);
      if (now !== undefined && isSame(before, now)) continue;
      this.put(key, now === undefined ? [] : [now]);
      changed.push(key);
    }
    for (const object of fresh.values()) this.add(object);
    return [...changed, ...fresh.keys()];
  }

  take(message: RouteNotification): Change {
    switch (message.type) {
      case k.RTM_NEWLINK:
      case k.RTM_DELLINK:
        return this.#takeLink(message.value, message.type === k.RTM_DELLINK);
      case k.RTM_NEWADDR:
      case k.RTM_DELADDR: {
        const link = this.names.nameOf(message.value.ifa_index);
        // With its last IPv4 address a link loses its IPv4 routes, without a word.
        if (message.type === k.RTM_DELADDR && this.#matters(link)) return 'everything';
        if (link === undefined || !this.#relevance.isOurLink(link)) return undefined;
        return this.#takeObject(addressFrom(message.value, link), false);
      }
      case k.RTM_NEWROUTE:
      case k.RTM_DELROUTE: {
        const replaces = message.type === k.RTM_NEWROUTE && (message.flags & k.NLM_F_REPLACE) !== 0;
        const object = routeFrom(message.value, this.names);
        return this.#takeObject(object, message.type === k.RTM_DELROUTE, replaces);
      }
      case k.RTM_NEWNEIGH:
      case k.RTM_DELNEIGH:
        return this.#takeNeighbour(message.value, message.type === k.RTM_DELNEIGH);
      case k.RTM_NEWNEXTHOP:
        return this.#takeObject(nexthopFrom(message.value, this.names), false, true);
      case k.RTM_DELNEXTHOP:
        // The routes that used it have gone with it, without a word.
        return this.#takeObject(nexthopFrom(message.value, this.names), true) && 'everything';
    }
  }

  #takeObject(object: ActualObject | undefined, gone: boolean, replaces = false): Change {
    if (object === undefined) return undefined;
    const key = keyOf(object);
    const found = this.#objects.get(key) ?? [];
    const at = found.findIndex((other) => isSame(other, object));
    if (gone) {
      // One that we do not know: what is in its place may be another one's.
      if (at === -1) return found.length === 0 ? undefined : 'everything';
      this.put(key, found.toSpliced(at, 1));
      return key;
    }
    if (at !== -1 && found.length === 1) return undefined;
    if (this.#relevance.wanted(key) === undefined && !this.#relevance.isOurs(object)) {
      // A foreign route took the place of ours.
      if (found.length === 0 || !replaces) return undefined;
      this.put(key, []);
      return key;
    }
    if (found.length === 0 || replaces) {
      this.put(key, [object]);
      return key;
    }
    return at === -1 ? 'everything' : undefined;
  }

  #takeNeighbour(message: NeighbourMessage, gone: boolean): Change {
    const link = this.names.nameOf(message.ndm_ifindex);
    if (link === undefined || !this.#relevance.isOurLink(link)) return undefined;
    if (message.ndm_family === k.AF_BRIDGE) return this.#takeObject(fdbFrom(message, link), gone, true);
    const neighbour = neighbourFrom(message, link);
    if (neighbour !== undefined && !gone) return this.#takeObject(neighbour, false, true);
    // Not permanent any more is as good as gone; the message may have no MAC.
    if (message.NDA_DST === undefined) return undefined;
    const key = keyOf({ kind: 'neighbour', link, address: message.NDA_DST });
    if (!this.#objects.has(key)) return undefined;
    this.put(key, []);
    return key;
  }

  #takeLink(message: LinkMessage, gone: boolean): Change {
    const { ifi_index: index, IFLA_IFNAME: name = '' } = message;
    const before = this.names.nameOf(index);
    const wasUp = this.#up.has(index);
    const matters = this.#matters(before) || this.#matters(name);
    if (gone) {
      this.names.delete(index);
      this.#up.delete(index);
      return matters ? 'everything' : undefined;
    }
    const known = this.#objects.get(linkKey(name))?.[0];
    this.#noteLink(message);
    const isOurs = this.#relevance.isOurLink(name);
    // On one that just came there is nothing yet that could have gone.
    const isNew = isOurs && (before === undefined || before === name) && !this.#objectsOn.has(name);
    if (matters && !isNew && (before !== name || wasUp !== this.#up.has(index))) return 'everything';
    if (!isOurs) return undefined;
    const link = linkFrom(message, this.names);
    if (known !== undefined && isSameLink(known, link)) return undefined;
    this.put(linkKey(name), [link]);
    return linkKey(name);
  }

  #matters(name: string | undefined): boolean {
    if (name === undefined) return false;
    return this.#relevance.isOurLink(name) || this.#relevance.isLower(name) || this.#objectsOn.has(name);
  }

  #noteLink(message: LinkMessage): void {
    this.names.set(message.ifi_index, message.IFLA_IFNAME ?? '');
    if (isCarrying(message)) this.#up.add(message.ifi_index);
    else this.#up.delete(message.ifi_index);
  }

  #count(objects: readonly ActualObject[] | undefined, by: 1 | -1): void {
    for (const object of objects ?? []) {
      if (object.kind === 'link' || object.link === undefined) continue;
      const count = (this.#objectsOn.get(object.link) ?? 0) + by;
      if (count === 0) this.#objectsOn.delete(object.link);
      else this.#objectsOn.set(object.link, count);
    }
  }
}

const isSameLink = (a: ActualObject, b: ActualLink): boolean => JSON.stringify(a) === JSON.stringify(b);

/** As the kernel decides it for next hops (nexthop_netdev_event). */
const isCarrying = ({ ifi_flags: flags }: LinkMessage): boolean =>
  (flags & k.IFF_UP) !== 0 && (flags & (k.IFF_RUNNING | k.IFF_LOWER_UP)) !== 0;
