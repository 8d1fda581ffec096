import type { Clock } from '../world/clock.ts';
import { decodeRouteMessage, type RouteNotification } from './route/notification.ts';
import type { NetlinkSocket } from './socket.ts';
import { MessageReader, type Subscription } from './subscription.ts';

export interface Listening extends Subscription {
  /** See {@link Announcements.read}. */
  read(): boolean;
}

interface Listener {
  readonly onMessage: (message: RouteNotification) => void;
  readonly onLost: (why: Error) => void;
}

/**
 * A pod that comes is announced by some twenty messages within a millisecond or two. They are told together, so long after the
 * first one, in milliseconds: whoever makes the pod would be interrupted by each of them otherwise.
 */
const gathering = 2;
/** Reads of many datagrams at once: enough for whatever one waits for. */
const readLimit = 64;

/**
 * What the kernel announces of links, addresses, routes and neighbours, read once for all who listen: a pod that comes
 * or goes is announced by some twenty messages, and reading them three times was a third of what it cost the daemon.
 */
export class Announcements {
  readonly #listeners = new Set<Listener>();
  readonly #socket: NetlinkSocket;
  readonly #clock: Clock;
  readonly #reader: MessageReader<RouteNotification>;
  /** How many want to be told without delay. */
  #prompt = 0;
  #cancel: (() => void) | undefined;

  /** @param socket joined to the multicast groups that are wanted, and used for nothing else */
  constructor(socket: NetlinkSocket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    this.#reader = new MessageReader(
      socket,
      decodeRouteMessage,
      (message) => {
        for (const { onMessage } of this.#listeners) onMessage(message);
      },
      (why) => {
        for (const { onLost } of this.#listeners) onLost(why);
      },
    );
    this.#watch();
  }

  /** `type` tells messages apart; `onLost` says that something was missed: compare everything again. */
  subscribe(onMessage: Listener['onMessage'], onLost: Listener['onLost']): Listening {
    const listener = { onMessage, onLost };
    this.#listeners.add(listener);
    return { close: () => this.#listeners.delete(listener), read: () => this.read() };
  }

  /** Tells all that has been announced by now; false when there may be more. */
  read(): boolean {
    return this.#reader.read(readLimit);
  }

  /** Until the answer is called, what is announced is told without delay. */
  promptly(): () => void {
    this.#prompt++;
    this.#gathered();
    return () => {
      this.#prompt--;
    };
  }

  close(): void {
    this.#cancel?.();
    this.#listeners.clear();
    this.#reader.close();
  }

  #watch(): void {
    this.#socket.onReadable(() => this.#readable());
  }

  #readable(): void {
    if (this.#prompt > 0) return void this.read();
    this.#socket.onReadable(undefined);
    this.#cancel = this.#clock.after(gathering, () => this.#gathered());
  }

  #gathered(): void {
    if (this.#cancel === undefined) return;
    this.#cancel();
    this.#cancel = undefined;
    this.#watch();
    this.read();
  }
}
