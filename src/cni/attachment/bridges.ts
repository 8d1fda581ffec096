import * as k from '../../netlink/constants.ts';
import type { Announcements } from '../../netlink/announcements.ts';
import type { RouteNotification } from '../../netlink/route/notification.ts';
import type { BridgeState } from './attachment.ts';
import { bridgeFrom, observeBridge, type Session } from './link.ts';

/**
 * Bridges as they are, read again only when something about them was announced. Asking anew for each pod would wait for
 * RTNL, which other pods' links hold just then.
 */
export class Bridges {
  readonly #session: Session;
  readonly #announcements: Pick<Announcements, 'read'>;
  /** By name. */
  readonly #known = new Map<string, BridgeState>();

  /** @param announcements those of links and addresses are needed */
  constructor(session: Session, announcements: Pick<Announcements, 'subscribe' | 'read'>) {
    this.#session = session;
    this.#announcements = announcements;
    announcements.subscribe(
      (message) => this.#announced(message),
      () => this.#known.clear(),
    );
  }

  /** See {@link observeBridge}. */
  observe(name: string): BridgeState | undefined {
    // Whatever happened before now is announced by now.
    if (!this.#announcements.read()) this.#known.clear();
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const state = observeBridge(this.#session, name);
    if (state !== undefined) this.#known.set(name, state);
    return state;
  }

  #announced(message: RouteNotification): void {
    const ifindex = subjectOf(message);
    for (const [name, state] of this.#known) {
      if (state.ifindex === ifindex) this.#changed(name, state, message);
    }
  }

  /** A bridge whose last port goes, or that gets its first, is announced whole: with few pods that is each time. */
  #changed(name: string, { addresses }: BridgeState, { type, value }: RouteNotification): void {
    const isWhole = type === k.RTM_NEWLINK && value.IFLA_IFNAME === name;
    const state = isWhole ? bridgeFrom(value, addresses) : undefined;
    if (state === undefined) this.#known.delete(name);
    else this.#known.set(name, state);
  }
}

function subjectOf({ type, value }: RouteNotification): number | undefined {
  if (type === k.RTM_NEWLINK || type === k.RTM_DELLINK) return value.ifi_index;
  return type === k.RTM_NEWADDR || type === k.RTM_DELADDR ? value.ifa_index : undefined;
}
