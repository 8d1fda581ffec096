import { type KernelObject, ourProtocol, type Route } from '../kernel/object.ts';
import { type Address, addressBytes, familyOf } from '../net/address.ts';

/**
 * The same network with a next-hop object for each IPv4 route over a gateway. The kernel looks for a route's way out
 * among all that use the same device, one after the other, so that thousands of routes take it a time that grows with
 * their square; a next hop is found by its number. IPv6 routes have no such trouble.
 */
export const byNexthops = (objects: readonly KernelObject[]): KernelObject[] =>
  objects.flatMap((object) => (object.kind === 'route' ? hopAndRoute(object) : [object]));

function hopAndRoute(route: Route): KernelObject[] {
  const { gateway, link, onlink } = route;
  if (gateway === undefined || link === undefined || familyOf(gateway) !== 4) return [route];
  const id = idOf(gateway);
  const hop = { kind: 'nexthop', id, gateway, link, onlink, protocol: ourProtocol } as const;
  return [hop, { ...route, nexthop: id }];
}

/** The gateway's own number: no two nodes share it, and other programs count from 1. */
const idOf = (gateway: Address): number => new DataView(addressBytes(gateway).buffer).getUint32(0);
