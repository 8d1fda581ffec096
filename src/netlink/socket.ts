import type { Binding } from '../../native/binding.ts';
import * as k from './constants.ts';
import { NetlinkError } from './error.ts';

/** Errors that a socket reports by itself, positive. */
const EAGAIN = 11;
const ENODEV = 19;
const EMSGSIZE = 90;
const ENOBUFS = 105;

/**
 * A datagram is at most 32 KiB in a dump; a single large answer (a network card with all its virtual
 * functions) may be longer.
 */
const bufferSize = 256 * 1024;
/** Room for the errors of a batch and for bursts of notifications; the kernel doubles it. */
const receiveBuffer = 1 << 20;

/** A netlink socket, non-blocking. Its methods throw a NetlinkError, named after the call, when the kernel refuses. */
export interface NetlinkSocket {
  readonly fd: number;
  /** The kernel handles the request before this returns: whatever waits for RTNL waits here. */
  send(bytes: Uint8Array): void;
  /**
   * One datagram, undefined when there is none. The bytes are valid until the next call on any socket.
   * ENOBUFS is thrown once after answers or notifications were lost.
   */
  receive(): Uint8Array | undefined;
  /**
   * Many small datagrams in one go, for announcements: their messages one behind the other; undefined when there is none.
   * The bytes are valid until the next call on any socket. Throws ENOBUFS as `receive` does, and EMSGSIZE when one of
   * more than 8 KiB was among them; those of this call are lost then.
   */
  receiveMany(): Uint8Array | undefined;
  /** The ifindex of the link of that name, by ioctl: unlike RTM_GETLINK it does not wait for RTNL. */
  indexOf(name: string): number | undefined;
  /** Blocks until there is something to receive: false after `milliseconds`. */
  wait(milliseconds: number): boolean;
  /** Calls back from the event loop while there is something to receive; undefined ends that. */
  onReadable(callback: (() => void) | undefined): void;
  /** As `send`, on a thread of the addon's. */
  sendThreaded(bytes: Uint8Array): Promise<void>;
  /** Once sends on threads have come back. Closing twice does no harm. */
  close(): void;
}

export interface SocketOptions {
  /** NETLINK_ROUTE unless it says otherwise. */
  protocol?: number;
  /** A namespace other than this process's own (needs CAP_SYS_ADMIN). */
  netnsFd?: number;
  /** Multicast groups to join: RTNLGRP_*. */
  groups?: readonly number[];
  /** The same, as far as the kernel has them. */
  newerGroups?: readonly number[];
}

/** Throws a NetlinkError when the socket cannot be had. */
export function openSocket(binding: Binding, options: SocketOptions = {}): NetlinkSocket {
  const { protocol = k.NETLINK_ROUTE, netnsFd = -1, groups = [], newerGroups = [] } = options;
  const fd = check('socket(AF_NETLINK)', binding.openNetlink(protocol, netnsFd));
  const socket = adoptSocket(binding, fd);
  // Above net.core.rmem_max only with CAP_NET_ADMIN in the first user namespace.
  if (binding.setOption(fd, k.SOL_SOCKET, k.SO_RCVBUFFORCE, receiveBuffer) < 0) {
    binding.setOption(fd, k.SOL_SOCKET, k.SO_RCVBUF, receiveBuffer);
  }
  try {
    for (const group of groups) {
      const result = binding.setOption(fd, k.SOL_NETLINK, k.NETLINK_ADD_MEMBERSHIP, group);
      check(`joining multicast group ${group}`, result);
    }
    for (const group of newerGroups) {
      binding.setOption(fd, k.SOL_NETLINK, k.NETLINK_ADD_MEMBERSHIP, group);
    }
  } catch (error) {
    socket.close();
    throw error;
  }
  return socket;
}

/**
 * Takes over a socket as {@link Binding.openNetlink} makes them, bound, non-blocking and with its options: one of its
 * own, or one that the launcher made in the same way. `close` closes it.
 */
export const adoptSocket = (binding: Binding, fd: number): NetlinkSocket => new KernelSocket(binding, fd);

let buffer: Uint8Array | undefined;
const sharedBuffer = (): Uint8Array => (buffer ??= new Uint8Array(bufferSize));

class KernelSocket implements NetlinkSocket {
  readonly fd: number;
  readonly #binding: Binding;
  #sending = 0;
  #closed = false;

  constructor(binding: Binding, fd: number) {
    this.#binding = binding;
    this.fd = fd;
  }

  send(bytes: Uint8Array): void {
    check('send', this.#binding.send(this.#open(), bytes));
  }

  receive(): Uint8Array | undefined {
    return this.#received(this.#binding.receive(this.#open(), sharedBuffer()), 'recv');
  }

  receiveMany(): Uint8Array | undefined {
    return this.#received(this.#binding.receiveMany(this.#open(), sharedBuffer()), 'recvmmsg');
  }

  #received(length: number, call: string): Uint8Array | undefined {
    return length === -EAGAIN ? undefined : sharedBuffer().subarray(0, check(call, length));
  }

  indexOf(name: string): number | undefined {
    const index = this.#binding.interfaceIndex(this.#open(), name);
    return index === -ENODEV ? undefined : check('SIOCGIFINDEX', index);
  }

  wait(milliseconds: number): boolean {
    return check('poll', this.#binding.poll(this.#open(), milliseconds)) > 0;
  }

  onReadable(callback: (() => void) | undefined): void {
    if (this.#closed && callback === undefined) return;
    const fd = this.#open();
    this.#binding.unwatch(fd);
    if (callback !== undefined) this.#binding.watch(fd, callback);
  }

  async sendThreaded(bytes: Uint8Array): Promise<void> {
    const fd = this.#open();
    this.#sending++;
    const result = await new Promise<number>((resolve) => {
      this.#binding.sendThreaded(fd, bytes, resolve);
    });
    this.#sending--;
    if (this.#closed && this.#sending === 0) this.#binding.close(fd);
    check('send', result);
  }

  close(): void {
    if (this.#closed) return;
    this.onReadable(undefined);
    this.#closed = true;
    // The descriptor must outlive the threads that send on it, or its number could become another file's.
    if (this.#sending === 0) this.#binding.close(this.fd);
  }

  #open(): number {
    if (this.#closed) throw new NetlinkError('netlink socket: closed', 9);
    return this.fd;
  }
}

function check(call: string, result: number): number {
  if (result < 0) throw new NetlinkError(call, -result);
  return result;
}

/** Whether answers or notifications were lost because the receive buffer was full. */
export const isOverrun = (error: unknown): error is NetlinkError =>
  error instanceof NetlinkError && error.errno === ENOBUFS;

/** Whether announcements were lost, for whatever reason. */
export const isLoss = (error: unknown): error is NetlinkError =>
  isOverrun(error) || (error instanceof NetlinkError && error.errno === EMSGSIZE);
