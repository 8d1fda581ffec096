import * as k from '../constants.ts';
import type { Frame, Message } from '../message.ts';
import { type AddressMessage, addressMessage } from './address.ts';
import type { LinkMessage } from './link.ts';
import { linkAnnouncement } from './link-announcement.ts';
import { type NeighbourMessage, neighbour } from './neighbour.ts';
import { type NexthopMessage, nexthop } from './nexthop.ts';
import { type RouteMessage, route } from './route.ts';

interface Typed<Type extends number, T> extends Message<T> {
  readonly type: Type;
}

/** A message of NETLINK_ROUTE; comparing `type` with RTM_* narrows `value`. */
export type RouteNotification =
  | Typed<typeof k.RTM_NEWLINK | typeof k.RTM_DELLINK, LinkMessage>
  | Typed<typeof k.RTM_NEWADDR | typeof k.RTM_DELADDR, AddressMessage>
  | Typed<typeof k.RTM_NEWROUTE | typeof k.RTM_DELROUTE, RouteMessage>
  | Typed<typeof k.RTM_NEWNEIGH | typeof k.RTM_DELNEIGH, NeighbourMessage>
  | Typed<typeof k.RTM_NEWNEXTHOP | typeof k.RTM_DELNEXTHOP, NexthopMessage>;

/** Undefined for a type that no table here is for, and for a message about a port. Throws a CodecError. */
export function decodeRouteMessage({
  type,
  flags,
  seq,
  view,
  start,
  end,
}: Frame): RouteNotification | undefined {
  switch (type) {
    case k.RTM_NEWLINK:
    case k.RTM_DELLINK:
      if (speaksOfPort(view, start, end)) return undefined;
      return { type, flags, seq, value: linkAnnouncement.decode(view, start, end) };
    case k.RTM_NEWADDR:
    case k.RTM_DELADDR:
      return { type, flags, seq, value: addressMessage.decode(view, start, end) };
    case k.RTM_NEWROUTE:
    case k.RTM_DELROUTE:
      return { type, flags, seq, value: route.decode(view, start, end) };
    case k.RTM_NEWNEIGH:
    case k.RTM_DELNEIGH:
      return { type, flags, seq, value: neighbour.decode(view, start, end) };
    case k.RTM_NEWNEXTHOP:
    case k.RTM_DELNEXTHOP:
      return { type, flags, seq, value: nexthop.decode(view, start, end) };
    default:
      return undefined;
  }
}

/**
 * Of AF_BRIDGE, the first byte of struct ifinfomsg: a bridge tells so of its ports, also that one has left it. The link itself has
 * messages of its own.
 */
const speaksOfPort = (view: DataView, start: number, end: number): boolean =>
  start < end && view.getUint8(start) === k.AF_BRIDGE;
