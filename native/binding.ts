import { existsSync } from 'node:fs';
import { constants as os } from 'node:os';
import path from 'node:path';

/**
 * What the addon (binding.c) offers: system calls that Node has no words for, and no policy.
 * Every call answers a value >= 0, or -errno; only a wrong argument throws (TypeError). File descriptors
 * belong to the caller, who closes them with {@link Binding.close}.
 */
export interface Binding {
  /**
   * A non-blocking, close-on-exec AF_NETLINK socket of `protocol`, bound, in the network namespace that
   * `netnsFd` refers to (-1: this process's own), with NETLINK_EXT_ACK, NETLINK_CAP_ACK and NETLINK_GET_STRICT_CHK
   * where the kernel has them. Needs CAP_SYS_ADMIN for another namespace.
   */
  openNetlink(protocol: number, netnsFd: number): number;
  /** send(2): the bytes sent. */
  send(fd: number, bytes: Uint8Array): number;
  /**
   * One datagram into `buffer`: its length; -EAGAIN when there is none; -EMSGSIZE when it did not fit
   * (the rest of it is lost). On a netlink socket a datagram that does not come from the kernel is
   * dropped, and the next one read.
   */
  receive(fd: number, buffer: Uint8Array): number;
  /**
   * The datagrams that are there, 32 at most, packed into `buffer` at multiples of four: their length together (0: none
   * of them came from the kernel); -EAGAIN when there is none; -EMSGSIZE when one did not fit into a thirty-second of
   * `buffer` (this call's datagrams are lost).
   */
  receiveMany(fd: number, buffer: Uint8Array): number;
  /** A close-on-exec SOCK_DGRAM socket of AF_INET or AF_INET6 in the network namespace of `netnsFd` (-1: this one), to ask the IP layer. */
  openDatagram(family: number, netnsFd: number): number;
  /** getsockopt(2): the bytes of `buffer` go in, too, and the length of the answer comes back. */
  getOption(fd: number, level: number, name: number, buffer: Uint8Array): number;
  /** setsockopt(2) with an integer. */
  setOption(fd: number, level: number, name: number, value: number): number;
  /** The ifindex of the link `name` in the socket's namespace (SIOCGIFINDEX: waits for no lock of the kernel's); -ENODEV. */
  interfaceIndex(fd: number, name: string): number;
  /** poll(2) for POLLIN, synchronously: 1 ready (or hung up), 0 after `milliseconds` (-1: no limit). */
  poll(fd: number, milliseconds: number): number;
  /**
   * Calls `callback` from the event loop whenever `fd` is readable or hung up, and keeps the loop alive.
   * What `callback` throws becomes an ordinary `uncaughtException`. Throws an Error for a descriptor that epoll refuses or
   * that is watched already.
   */
  watch(fd: number, callback: () => void): void;
  /** Ends the watch, if there is one; so does {@link Binding.close}. */
  unwatch(fd: number): void;
  /**
   * send(2) on a thread of the addon's own (16 at most, others queue), for requests that wait for RCU in
   * the kernel. `callback` gets the length sent or -errno on the event loop (-EAGAIN also when
   * no thread at all can be started). `fd` must stay open until then; `bytes` are copied. When the environment ends first, `callback` is not called.
   */
  sendThreaded(fd: number, bytes: Uint8Array, callback: (result: number) => void): void;
  /**
   * A listening, non-blocking AF_UNIX stream socket at `path` with `mode`, never wider for a moment,
   * whatever the umask. -EADDRINUSE when the path exists.
   */
  listenUnix(path: string, mode: number): number;
  /** One connection of a listening socket, non-blocking; -EAGAIN when there is none. */
  acceptUnix(fd: number): number;
  /** A non-blocking connection to the socket at `path`; -EAGAIN when its queue is full. */
  connectUnix(path: string): number;
  /** One datagram to the AF_UNIX socket at `path`, or at an abstract name that begins with `@`; never waits. */
  sendUnixDatagram(path: string, bytes: Uint8Array): number;
  /** SO_PEERCRED of a connected unix socket as [pid, uid, gid]. */
  peerCredentials(fd: number): [number, number, number] | number;
  /** sendmsg(2) with descriptors as SCM_RIGHTS, MSG_NOSIGNAL. */
  sendDescriptors(fd: number, bytes: Uint8Array, descriptors: readonly number[]): number;
  /**
   * recvmsg(2): the length (0: the peer is gone) and the descriptors that came along, close-on-exec; or
   * -errno. -EMFILE: this process has no room for the descriptors; none of them is kept, the bytes are lost.
   */
  receiveDescriptors(fd: number, buffer: Uint8Array): { length: number; descriptors: number[] } | number;
  /** The number of the CPU that this thread is on, or -errno where the kernel does not tell. */
  cpu(): number;
  /** flock(2). `operation` as in <sys/file.h>: LOCK_SH 1, LOCK_EX 2, LOCK_NB 4, LOCK_UN 8. */
  flock(fd: number, operation: number): number;
  /** f_type of fstatfs(2): 0x6e736673 is NSFS_MAGIC. */
  filesystemType(fd: number): number;
  /** Writes `data` to `path` (a file below /proc/sys/net) from inside a network namespace (-1: this one): 0. */
  writeInNetns(netnsFd: number, path: string, data: string): number;
  /** Makes a new network namespace and keeps it by a bind mount on the existing file `path`: 0. */
  createNetns(path: string): number;
  close(fd: number): number;
}

/**
 * Loads the addon: the one beside the running bundle, else the one that `npm run build` left in the tree.
 * Throws an Error that names the paths it tried.
 */
export function loadBinding(): Binding {
  const here = import.meta.dirname;
  const tried = [
    path.join(here, 'binding.node'),
    path.join(here, '..', 'build', 'native', `linux-${process.arch}`, 'binding.node'),
  ];
  const found = tried.find((candidate) => existsSync(candidate));
  if (found === undefined) {
    throw new Error(`the native addon is missing: looked for ${tried.join(' and ')}; run "npm run build"`);
  }
  const module = { exports: {} };
  process.dlopen(module, found, os.dlopen.RTLD_NOW);
  return module.exports as Binding;
}
