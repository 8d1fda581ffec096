import type { RouteNotification } from './route/notification.ts';
import type { NetlinkSocket } from './socket.ts';
import { type OwnSubscription, subscribe, type Subscription } from './subscription.ts';

interface Listener {
  readonly onMessage: (message: RouteNotification) => void;
  readonly onLost: (why: Error) => void;
}

/**
 * What the kernel announces of links, addresses, routes and neighbours, read once for all who listen: a pod that comes
 * or goes is announced by some twenty messages, and reading them three times was a third of what it cost the daemon.
 */
export class Announcements {
  readonly #listeners = new Set<Listener>();
  readonly #subscription: OwnSubscription;

  /** @param socket joined to the multicast groups that are wanted, and used for nothing else */
  constructor(socket: NetlinkSocket) {
    this.#subscription = subscribe(
      socket,
      (message) => {
        for (const { onMessage } of this.#listeners) onMessage(message);
      },
      (why) => {
        for (const { onLost } of this.#listeners) onLost(why);
      },
    );
  }

  /** `type` tells messages apart; `onLost` says that something was missed: compare everything again. */
  subscribe(onMessage: Listener['onMessage'], onLost: Listener['onLost']): Subscription {
    const listener = { onMessage, onLost };
    this.#listeners.add(listener);
    return { close: () => this.#listeners.delete(listener) };
  }

  /** Tells all that has been announced by now; false when there may be more. */
  read(): boolean {
    return this.#subscription.read();
  }

  close(): void {
    this.#listeners.clear();
    this.#subscription.close();
  }
}
