import { closeSync, openSync } from 'node:fs';
import { loadBinding } from '../native/binding.ts';
import * as k from '../src/netlink/constants.ts';
import type { Request } from '../src/netlink/message.ts';
import { type AddressMessage, delAddress, getAddresses } from '../src/netlink/route/address.ts';
import { delLink, getLink, type LinkMessage, setLink } from '../src/netlink/route/link.ts';
import { delNeighbour, getNeighbours, type NeighbourMessage } from '../src/netlink/route/neighbour.ts';
import { delRoute, getRoutes, type RouteMessage } from '../src/netlink/route/route.ts';
import { SyncSession } from '../src/netlink/session.ts';
import { openSocket } from '../src/netlink/socket.ts';

export type Kind = 'route' | 'neighbour' | 'FDB entry' | 'address' | 'link';

/** Something that flanneld has put into the kernel, and the request that takes it away. */
export interface Found {
  readonly kind: Kind;
  readonly removal: Request;
}

/** What hangs on flannel's devices in a namespace, read by netlink and without flanneld's own code for it. */
export class NetworkView {
  readonly #session: SyncSession;

  constructor(netns: string) {
    const netnsFd = openSync(netns, 'r');
    this.#session = new SyncSession(openSocket(loadBinding(), { netnsFd }));
    closeSync(netnsFd);
  }

  /** Text that names the object (links by name: the index of a new one is another) -> the object. */
  read(): Map<string, Found> {
    const links = this.#session.dump(getLink()).filter((link) => link.IFLA_IFNAME?.startsWith('flannel'));
    const names = new Map(links.map((link) => [link.ifi_index, link.IFLA_IFNAME ?? '']));
    const addresses = this.#dumps((ifa_family) => getAddresses({ ifa_family }));
    const routes = this.#dumps((rtm_family) => getRoutes({ rtm_family }));
    const neighbours = this.#dumps((ndm_family) => getNeighbours({ ndm_family }));
    return new Map([
      ...links.map(linkEntry),
      ...addresses
        .filter((a) => names.has(a.ifa_index) && !isLinkLocal(a))
        .map((a) => addressEntry(a, names)),
      ...routes.filter((r) => names.has(r.RTA_OIF ?? 0) && isAdded(r)).map((r) => routeEntry(r, names)),
      ...neighbours
        .filter((n) => names.has(n.ndm_ifindex) && isPermanent(n))
        .map((n) => neighbourEntry(n, names)),
      ...this.#fdb(names),
    ]);
  }

  /** How many routes to peers there are: cheaper than to read everything. */
  countRoutes(family: number): number {
    return this.#session.dump(getRoutes({ rtm_family: family })).filter((r) => r.RTA_GATEWAY !== undefined)
      .length;
  }

  hasFdb(mac: string): boolean {
    return this.#session
      .dump(getNeighbours({ ndm_family: k.AF_BRIDGE }))
      .some((entry) => entry.NDA_LLADDR === mac);
  }

  /** 0 when there is no such link. */
  indexOf(name: string): number {
    return this.#session.dump(getLink()).find((link) => link.IFLA_IFNAME === name)?.ifi_index ?? 0;
  }

  /** Throws a NetlinkError when the kernel refuses. */
  do(request: Request): void {
    this.#session.request(request);
  }

  setDown(name: string): void {
    this.#session.request(setLink({ IFLA_IFNAME: name, ifi_change: k.IFF_UP, ifi_flags: 0 }));
  }

  close(): void {
    this.#session.close();
  }

  #dumps<T>(ask: (family: number) => Request<T>): T[] {
    return [k.AF_INET, k.AF_INET6].flatMap((family) => this.#session.dump(ask(family)));
  }

  #fdb(names: Names): [string, Found][] {
    const entries = this.#session.dump(getNeighbours({ ndm_family: k.AF_BRIDGE }));
    return entries
      .filter((entry) => names.has(entry.ndm_ifindex) && isPermanent(entry))
      .map((entry) => [
        ['fdb', names.get(entry.ndm_ifindex), entry.NDA_LLADDR, entry.NDA_DST].join(' '),
        { kind: 'FDB entry', removal: delNeighbour(entry) },
      ]);
  }
}

type Names = ReadonlyMap<number, string>;

const isPermanent = (entry: NeighbourMessage): boolean => (entry.ndm_state & k.NUD_PERMANENT) !== 0;
/** The kernel's own work. */
const isLinkLocal = (address: AddressMessage): boolean => address.ifa_scope === k.RT_SCOPE_LINK;
const isAdded = (route: RouteMessage): boolean => route.rtm_protocol !== k.RTPROT_KERNEL;

function linkEntry(link: LinkMessage): [string, Found] {
  const up = (link.ifi_flags & k.IFF_UP) !== 0 ? 'up' : 'down';
  const text = ['link', link.IFLA_IFNAME, up, link.IFLA_ADDRESS, link.IFLA_MTU].join(' ');
  return [text, { kind: 'link', removal: delLink({ ifi_index: link.ifi_index }) }];
}

function addressEntry(address: AddressMessage, names: Names): [string, Found] {
  const text = `address ${names.get(address.ifa_index)} ${address.IFA_ADDRESS}/${address.ifa_prefixlen}`;
  return [text, { kind: 'address', removal: delAddress(address) }];
}

function routeEntry(route: RouteMessage, names: Names): [string, Found] {
  const device = names.get(route.RTA_OIF ?? 0);
  const text = `route ${route.RTA_DST}/${route.rtm_dst_len} via ${route.RTA_GATEWAY} dev ${device}`;
  return [text, { kind: 'route', removal: delRoute(route) }];
}

function neighbourEntry(entry: NeighbourMessage, names: Names): [string, Found] {
  const text = ['neighbour', names.get(entry.ndm_ifindex), entry.NDA_DST, entry.NDA_LLADDR].join(' ');
  return [text, { kind: 'neighbour', removal: delNeighbour(entry) }];
}
