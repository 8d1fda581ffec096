import * as k from '../../src/netlink/constants.ts';
import { NetlinkError } from '../../src/netlink/error.ts';
import { type Frame, frames, type MessageCodec } from '../../src/netlink/message.ts';
import { type AddressMessage, addressMessage } from '../../src/netlink/route/address.ts';
import { type LinkMessage, link } from '../../src/netlink/route/link.ts';
import { type NeighbourMessage, neighbour } from '../../src/netlink/route/neighbour.ts';
import { type RouteMessage, route } from '../../src/netlink/route/route.ts';
import { mac } from '../../src/net/mac.ts';
import { delAddress, dumpAddresses, newAddress } from './fake-addresses.ts';
import { delLink, getLink, newLink } from './fake-links.ts';
import { delNeighbour, dumpNeighbours, newNeighbour } from './fake-neighbours.ts';
import { delRoute, dumpRoutes, lookUpRoute, newRoute } from './fake-routes.ts';
import { FakeSocket } from './fake-socket.ts';
import { Refusal } from './refusal.ts';
import { wireDone, wireError, wireObject } from './wire.ts';

/** A request as the kernel understood it. */
export type FakeRequest = { flags: number } & (
  | { name: `RTM_${'NEW' | 'DEL' | 'GET' | 'SET'}LINK`; value: LinkMessage }
  | { name: `RTM_${'NEW' | 'DEL' | 'GET'}ADDR`; value: AddressMessage }
  | { name: `RTM_${'NEW' | 'DEL' | 'GET'}ROUTE`; value: RouteMessage }
  | { name: `RTM_${'NEW' | 'DEL' | 'GET'}NEIGH`; value: NeighbourMessage }
);

const ENOBUFS = 105;
const EOPNOTSUPP = 95;

const groupsOf: Record<string, (family: number) => number> = {
  LINK: () => k.RTNLGRP_LINK,
  ADDR: (family) => (family === k.AF_INET ? k.RTNLGRP_IPV4_IFADDR : k.RTNLGRP_IPV6_IFADDR),
  ROUTE: (family) => (family === k.AF_INET ? k.RTNLGRP_IPV4_ROUTE : k.RTNLGRP_IPV6_ROUTE),
  NEIGH: () => k.RTNLGRP_NEIGH,
};

/**
 * One network namespace of a kernel that is made up: it keeps links, addresses, routes and neighbours, and
 * answers NETLINK_ROUTE requests on any number of sockets, near enough to the real one for tests of what is
 * built upon it. It knows no VLANs, rules or next hop objects.
 */
export class FakeKernel {
  readonly links = new Map<number, LinkMessage>();
  addresses: AddressMessage[] = [];
  routes: RouteMessage[] = [];
  neighbours: NeighbourMessage[] = [];
  /** Every request in its order, the refused ones too. */
  readonly requests: FakeRequest[] = [];
  /** Other namespaces by the descriptor that IFLA_NET_NS_FD names. */
  readonly namespaces = new Map<number, FakeKernel>();
  /** The next dumps that come out with NLM_F_DUMP_INTR. */
  interruptedDumps = 0;
  /** Refuses a request with the errno it answers. */
  refuse: (request: FakeRequest) => number | undefined = () => undefined;
  #nextIndex = 1;
  readonly #sockets: { socket: FakeSocket; groups: readonly number[] }[] = [];

  constructor() {
    const ifi_index = this.takeIndex();
    this.links.set(ifi_index, {
      ifi_family: 0,
      ifi_type: 772,
      ifi_index,
      ifi_change: 0,
      ifi_flags: k.IFF_LOOPBACK | k.IFF_UP | k.IFF_RUNNING | k.IFF_LOWER_UP,
      IFLA_IFNAME: 'lo',
      IFLA_MTU: 65536,
      IFLA_ADDRESS: mac('00:00:00:00:00:00'),
      IFLA_GROUP: 0,
    });
  }

  open(groups: readonly number[] = []): FakeSocket {
    const socket = new FakeSocket((bytes) => {
      for (const frame of frames(bytes)) this.#handle(frame, socket);
    });
    this.#sockets.push({ socket, groups });
    return socket;
  }

  takeIndex(): number {
    return this.#nextIndex++;
  }

  linkNamed(name: string): LinkMessage | undefined {
    return [...this.links.values()].find((link) => link.IFLA_IFNAME === name);
  }

  /** The subscribers' buffers ran over: they get ENOBUFS, and whatever happens in `during` is not announced. */
  loseNotifications(during: () => void = () => {}): void {
    const subscribers = this.#sockets.filter(({ groups }) => groups.length > 0);
    const kept = this.#sockets.splice(0);
    during();
    this.#sockets.push(...kept);
    for (const { socket } of subscribers) socket.push(new NetlinkError('recv', ENOBUFS));
  }

  /** Tells the subscribers of the object's group. */
  announce<W extends { [key: string]: unknown }>(
    what: 'NEW' | 'DEL',
    kind: 'LINK' | 'ADDR' | 'ROUTE' | 'NEIGH',
    codec: MessageCodec<unknown, W>,
    value: W,
  ): void {
    const family = Number(value.ifa_family ?? value.rtm_family ?? value.ndm_family ?? value.ifi_family ?? 0);
    const group = groupsOf[kind]?.(family);
    const type = typeNumber(`RTM_${what}${kind}`);
    for (const { socket, groups } of this.#sockets) {
      if (!socket.closed && groups.some((joined) => joined === group)) {
        socket.push(wireObject(type, 0, codec, value, 0));
      }
    }
  }

  #handle(frame: Frame, socket: FakeSocket): void {
    const { seq, flags } = frame;
    const isDump = (flags & k.NLM_F_DUMP) === k.NLM_F_DUMP && frame.type % 4 === 2;
    try {
      const request = decode(frame);
      this.requests.push(request);
      const errno = this.refuse(request);
      if (errno !== undefined) throw new Refusal(errno);
      const answers = this.#answer(request, isDump);
      const interrupted = isDump && this.interruptedDumps > 0 ? k.NLM_F_DUMP_INTR : 0;
      if (interrupted !== 0) this.interruptedDumps--;
      const multi = isDump ? k.NLM_F_MULTI | interrupted : 0;
      for (const { type, codec, value } of answers) socket.push(wireObject(type, seq, codec, value, multi));
      if (isDump) socket.push(wireDone(seq, 0, multi));
      else if ((flags & k.NLM_F_ACK) !== 0) socket.push(wireError(seq));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      socket.push(wireError(seq, error.errno, error.says));
    }
  }

  #answer(request: FakeRequest, isDump: boolean): Answer[] {
    switch (request.name) {
      case 'RTM_NEWLINK':
      case 'RTM_SETLINK':
        return none(newLink(this, request.value, request.flags));
      case 'RTM_DELLINK':
        return none(delLink(this, request.value));
      case 'RTM_GETLINK':
        return answers(
          k.RTM_NEWLINK,
          link,
          isDump ? [...this.links.values()] : [getLink(this, request.value)],
        );
      case 'RTM_NEWADDR':
        return none(newAddress(this, request.value, request.flags));
      case 'RTM_DELADDR':
        return none(delAddress(this, request.value));
      case 'RTM_GETADDR':
        return answers(k.RTM_NEWADDR, addressMessage, dumpAddresses(this, request.value));
      case 'RTM_NEWROUTE':
        return none(newRoute(this, request.value, request.flags));
      case 'RTM_DELROUTE':
        return none(delRoute(this, request.value));
      case 'RTM_GETROUTE': {
        const found = isDump ? dumpRoutes(this, request.value) : [lookUpRoute(this, request.value)];
        return answers(k.RTM_NEWROUTE, route, found);
      }
      case 'RTM_NEWNEIGH':
        return none(newNeighbour(this, request.value, request.flags));
      case 'RTM_DELNEIGH':
        return none(delNeighbour(this, request.value));
      case 'RTM_GETNEIGH':
        return answers(k.RTM_NEWNEIGH, neighbour, dumpNeighbours(this, request.value));
      default:
        return request satisfies never;
    }
  }
}

interface Answer {
  type: number;
  codec: MessageCodec<unknown, object>;
  value: object;
}

const none = (_done: void): Answer[] => [];

function answers<W extends object>(
  type: number,
  codec: MessageCodec<unknown, W>,
  values: readonly W[],
): Answer[] {
  return values.map((value) => ({ type, codec: codec as MessageCodec<unknown, object>, value }));
}

const names = new Map<number, string>(
  ['LINK', 'ADDR', 'ROUTE', 'NEIGH'].flatMap((kind) =>
    ['NEW', 'DEL', 'GET', 'SET'].map((verb): [number, string] => [
      typeNumber(`RTM_${verb}${kind}`),
      `RTM_${verb}${kind}`,
    ]),
  ),
);

function typeNumber(name: string): number {
  const constants: Readonly<Record<string, number>> = k;
  return constants[name] ?? -1;
}

function decode({ type, flags, view, start, end }: Frame): FakeRequest {
  const name = names.get(type);
  const codec = [link, addressMessage, route, neighbour][(type - k.RTM_NEWLINK) >> 2];
  if (name === undefined || codec === undefined) throw new Refusal(EOPNOTSUPP);
  return { name, flags, value: codec.decode(view, start, end) } as FakeRequest;
}
