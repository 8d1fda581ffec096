import type { Binding } from '../../../native/binding.ts';
import type { Clock } from '../../world/clock.ts';
import { encodeFrame, type Frame, FrameReader } from './frame.ts';

const { EAGAIN, EPIPE, ECONNRESET } = { EAGAIN: 11, EPIPE: 32, ECONNRESET: 104 };
/** What is read at a time; requests are mostly a few KiB. */
const buffer = new Uint8Array(64 * 1024);
/** When the other side's buffer is full, in milliseconds until the next try. */
const retryAfter = 5;

export interface ConnectionEvents {
  frame(frame: Frame): void;
  /** Once, for whatever reason; nothing comes after it. `isGone`: the launcher has closed its end, which it does last of all. */
  closed(isGone: boolean): void;
}

/**
 * One connection of the daemon's unix socket: whole frames in both directions, and descriptors coming in. Nothing is read
 * before `look` or `listen`: most requests are there at once, and watching a descriptor takes longer than reading it.
 */
export class LauncherConnection {
  readonly #binding: Binding;
  readonly #clock: Clock;
  readonly #fd: number;
  readonly #events: ConnectionEvents;
  readonly #reader = new FrameReader();
  #listening = false;
  /** Descriptors that nobody has taken yet. */
  #descriptors: number[] = [];
  #outgoing: Buffer[] = [];
  #cancelRetry: (() => void) | undefined;
  #closing = false;
  #closed = false;

  /** Takes over `fd`. */
  constructor(binding: Binding, clock: Clock, fd: number, events: ConnectionEvents) {
    this.#binding = binding;
    this.#clock = clock;
    this.#fd = fd;
    this.#events = events;
  }

  /** Reads what has come, up to the size of the buffer. */
  look(): void {
    if (!this.#closed) this.#read();
  }

  /** Reads whatever comes from now on. */
  listen(): void {
    if (this.#closed || this.#listening) return;
    this.#listening = true;
    this.#binding.watch(this.#fd, () => this.#read());
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The descriptors that have come so far; they are the caller's to close now. */
  takeDescriptors(): number[] {
    return this.#descriptors.splice(0);
  }

  /** As {@link encodeFrame}. Does nothing once the connection is closed. */
  send(type: number, ...payload: readonly Uint8Array[]): void {
    if (this.#closed) return;
    this.#outgoing.push(encodeFrame(type, ...payload));
    this.#write();
  }

  /** Closes when everything is sent. */
  finish(): void {
    this.#closing = true;
    if (this.#outgoing.length === 0) this.close();
  }

  close(): void {
    this.#end(false);
  }

  #end(isGone: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelRetry?.();
    this.#binding.close(this.#fd);
    for (const fd of this.#descriptors.splice(0)) this.#binding.close(fd);
    this.#events.closed(isGone);
  }

  /** One read for each call from the event loop, so that a connection that floods us leaves the others their turn. */
  #read(): void {
    const received = this.#binding.receiveDescriptors(this.#fd, buffer);
    if (received === -EAGAIN) return;
    if (typeof received === 'number') return this.#end(isHangUp(received));
    if (received.length === 0) return this.#end(true);
    this.#descriptors.push(...received.descriptors);
    let frames: Frame[];
    try {
      frames = this.#reader.push(buffer.subarray(0, received.length));
    } catch {
      return this.close();
    }
    for (const frame of frames) if (!this.#closed) this.#events.frame(frame);
  }

  #write(): void {
    while (this.#outgoing.length > 0 && this.#cancelRetry === undefined) {
      const bytes = this.#outgoing[0] ?? Buffer.alloc(0);
      const sent = this.#binding.sendDescriptors(this.#fd, bytes, []);
      if (sent === -EAGAIN) {
        this.#cancelRetry = this.#clock.after(retryAfter, () => {
          this.#cancelRetry = undefined;
          this.#write();
        });
        return;
      }
      if (sent < 0) return this.#end(isHangUp(sent));
      if (sent === bytes.length) this.#outgoing.shift();
      else this.#outgoing[0] = bytes.subarray(sent);
    }
    if (this.#closing && this.#outgoing.length === 0) this.close();
  }
}

/** Reset: it has not read all. */
const isHangUp = (result: number): boolean => result === -ECONNRESET || result === -EPIPE;
