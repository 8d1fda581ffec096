import type { External } from '../../backend/backend.ts';
import { ourProtocol } from '../../kernel/object.ts';
import type { Address } from '../../net/address.ts';
import { familyOf } from '../../net/address.ts';
import * as k from '../../netlink/constants.ts';
import { isNetlinkError } from '../../netlink/error.ts';
import type { LinkMessage } from '../../netlink/route/link.ts';
import type { RouteNotification } from '../../netlink/route/notification.ts';
import { getRoutes } from '../../netlink/route/route.ts';
import type { SyncSession } from '../../netlink/session.ts';
import type { Subscription } from '../../netlink/subscription.ts';
import type { Clock } from '../../world/clock.ts';
import type { ExternalInterface } from './interface.ts';

/** So long after a change everything else that belongs to it has happened too, in milliseconds. */
const settleTime = 200;

export interface SurroundingsWorld {
  subscribe(onMessage: (message: RouteNotification) => void, onLost: (why: Error) => void): Subscription;
  readonly clock: Clock;
  /** The name of the interface that is used now. */
  chosen(): string;
  /** Not only default routes decide: `--iface-can-reach`, and backends that want to know who is on a link of ours. */
  readonly anyRoute?: boolean;
}

/** Calls `onChange` some moments after something changed that the choice of the interface depends on. */
export function followSurroundings(
  { subscribe, clock, chosen, anyRoute = false }: SurroundingsWorld,
  onChange: () => void,
): () => void {
  const bystanders = new Bystanders(chosen, anyRoute);
  let cancel: (() => void) | undefined;
  const changed = () => {
    cancel ??= clock.after(settleTime, () => {
      cancel = undefined;
      onChange();
    });
  };
  const subscription = subscribe((message) => {
    if (bystanders.isNews(message)) changed();
  }, changed);
  return () => {
    cancel?.();
    subscription.close();
  };
}

/** Pods come and go by the hundred: their links, the bridge that tells of each, and their routes are no reason to look. */
class Bystanders {
  /** Pods' links by index: ports of a bridge, or on their way out of it. */
  readonly #ports = new Map<number, 'port' | 'leaving'>();
  /** What was announced of the others last. */
  readonly #seen = new Map<number, string>();
  readonly #chosen: () => string;
  readonly #anyRoute: boolean;

  constructor(chosen: () => string, anyRoute: boolean) {
    this.#chosen = chosen;
    this.#anyRoute = anyRoute;
  }

  isNews({ type, value }: RouteNotification): boolean {
    if (type === k.RTM_NEWLINK || type === k.RTM_DELLINK) return this.#isNewsOfLink(value, type);
    if (type === k.RTM_NEWROUTE || type === k.RTM_DELROUTE) {
      return value.rtm_dst_len === 0 || (this.#anyRoute && value.rtm_protocol !== ourProtocol);
    }
    if (type === k.RTM_NEWADDR) return this.#ports.get(value.ifa_index) !== 'port';
    return type === k.RTM_DELADDR && !this.#ports.has(value.ifa_index);
  }

  #isNewsOfLink(link: LinkMessage, type: number): boolean {
    const { ifi_index: index, IFLA_IFNAME: name = '', IFLA_MASTER, IFLA_LINKINFO } = link;
    const kind = IFLA_LINKINFO?.IFLA_INFO_KIND;
    if (type === k.RTM_DELLINK) this.#ports.delete(index);
    else if (kind === 'veth' && IFLA_MASTER !== undefined) this.#ports.set(index, 'port');
    else if (this.#ports.has(index)) this.#ports.set(index, 'leaving');
    const isChosen = name === this.#chosen();
    // A node that is a container itself has a veth for its way out.
    if (!isChosen && (kind === 'veth' || kind === 'vxlan')) return false;
    // A bridge takes another MTU with its first pod, and starts to run.
    const mtu = isChosen ? link.IFLA_MTU : undefined;
    // With a link that goes down its IPv4 routes go, without a word.
    const isUp = (link.ifi_flags & k.IFF_UP) !== 0;
    const now = type === k.RTM_NEWLINK ? `${name} ${isUp} ${mtu}` : '';
    const isNews = this.#seen.get(index) !== now;
    if (now === '') this.#seen.delete(index);
    else this.#seen.set(index, now);
    return isNews;
  }
}

/** The chosen interface as backends see it. */
export function externalOf({
  link,
  address,
  ipv6Address,
  publicIP,
  publicIPv6,
}: ExternalInterface): External {
  return {
    name: link.name,
    mtu: link.mtu,
    ...(address && { address }),
    ...(ipv6Address && { ipv6Address }),
    ...(publicIP && { publicIP }),
    ...(publicIPv6 && { publicIPv6 }),
  };
}

/** Whether the kernel would send to `address` without a gateway. */
export function isOnLink(session: Pick<SyncSession, 'request'>, address: Address): boolean {
  const ipv4 = familyOf(address) === 4;
  try {
    const routes = session.request(
      getRoutes({
        rtm_family: ipv4 ? k.AF_INET : k.AF_INET6,
        rtm_dst_len: ipv4 ? 32 : 128,
        RTA_DST: address,
      }),
    );
    return routes.length === 1 && routes.every((route) => isDirect(route));
  } catch (error) {
    if (isNetlinkError(error)) return false;
    throw error;
  }
}

const isDirect = (route: {
  rtm_type: number;
  RTA_GATEWAY?: unknown;
  RTA_MULTIPATH?: unknown;
  RTA_VIA?: unknown;
}) =>
  route.rtm_type === k.RTN_UNICAST &&
  route.RTA_GATEWAY === undefined &&
  route.RTA_MULTIPATH === undefined &&
  route.RTA_VIA === undefined;
