import type { Request } from '../../netlink/message.ts';
import { type AddressWrite, delAddress, newAddress } from '../../netlink/route/address.ts';
import { delLink, type LinkWrite, newLink, setLink } from '../../netlink/route/link.ts';
import { delNeighbour, type NeighbourWrite } from '../../netlink/route/neighbour.ts';
import { newRoute, type RouteWrite } from '../../netlink/route/route.ts';

/** One message of an attachment's plan, as a value that a test or a person can read. */
export type Step = {
  /** The error after which the plan goes on: what was wanted is there already, or gone already. */
  tolerate?: 'EEXIST' | 'ENOENT' | 'EADDRNOTAVAIL';
} & (
  | { message: 'newLink'; value: LinkWrite; flags: number }
  | { message: 'setLink' | 'delLink'; value: LinkWrite }
  | { message: 'newAddress'; value: AddressWrite; flags: number }
  | { message: 'delAddress'; value: AddressWrite }
  | { message: 'newRoute'; value: RouteWrite; flags: number }
  | { message: 'delNeighbour'; value: NeighbourWrite }
);

export function requestOf(step: Step): Request {
  switch (step.message) {
    case 'newLink':
      return newLink(step.value, step.flags);
    case 'setLink':
      return setLink(step.value);
    case 'delLink':
      return delLink(step.value);
    case 'newAddress':
      return newAddress(step.value, step.flags);
    case 'delAddress':
      return delAddress(step.value);
    case 'newRoute':
      return newRoute(step.value, step.flags);
    case 'delNeighbour':
      return delNeighbour(step.value);
  }
}
