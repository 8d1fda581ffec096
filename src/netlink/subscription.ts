import { CodecError } from './codec-error.ts';
import { type Frame, frames } from './message.ts';
import { isLoss, type NetlinkSocket } from './socket.ts';

/** Reads of many datagrams in one go before the event loop has its turn. */
const readBudget = 4;

export interface Subscription {
  /** Ends it and closes the socket. */
  close(): void;
}

/**
 * What the kernel announces on a socket that joined multicast groups (and serves nothing else); what `read` has no
 * answer for is passed over. `onLost` says that something was missed, because the receive buffer was full or a message
 * could not be read: compare everything again.
 */
export function listen<T>(
  socket: NetlinkSocket,
  read: (frame: Frame) => T | undefined,
  onMessage: (message: T) => void,
  onLost: (why: Error) => void,
): Subscription {
  const reader = new MessageReader(socket, read, onMessage, onLost);
  socket.onReadable(() => reader.read(readBudget));
  return reader;
}

/** Reads announcements off a socket, many at a time. */
export class MessageReader<T> {
  readonly #socket: NetlinkSocket;
  readonly #receive: () => T[] | undefined;
  readonly #onMessage: (message: T) => void;
  #open = true;

  /** As {@link listen}, whose callbacks are called while `read` reads. */
  constructor(
    socket: NetlinkSocket,
    read: (frame: Frame) => T | undefined,
    onMessage: (message: T) => void,
    onLost: (why: Error) => void,
  ) {
    this.#socket = socket;
    this.#receive = () => receive(socket, read, onLost);
    this.#onMessage = onMessage;
  }

  /** Tells what is there, read so many times at most; false when there may be more. */
  read(limit: number): boolean {
    for (let i = 0; this.#open && i < limit; i++) {
      const messages = this.#receive();
      if (messages === undefined) return true;
      for (const message of messages) if (this.#open) this.#onMessage(message);
    }
    return false;
  }

  close(): void {
    this.#open = false;
    this.#socket.close();
  }
}

/** The messages of what is there, undefined when there is nothing. */
function receive<T>(
  socket: NetlinkSocket,
  read: (frame: Frame) => T | undefined,
  onLost: (why: Error) => void,
): T[] | undefined {
  const messages: T[] = [];
  try {
    const received = socket.receiveMany();
    if (received === undefined) return undefined;
    for (const frame of frames(received)) {
      const message = read(frame);
      if (message !== undefined) messages.push(message);
    }
  } catch (error) {
    if (!(error instanceof CodecError || isLoss(error))) throw error;
    onLost(error);
  }
  return messages;
}
