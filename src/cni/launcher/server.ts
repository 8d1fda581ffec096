import { existsSync, lstatSync, readSync, rmSync, statSync } from 'node:fs';
import { getSystemErrorMap } from 'node:util';
import type { Binding } from '../../../native/binding.ts';
import { SyncSession } from '../../netlink/session.ts';
import { adoptSocket } from '../../netlink/socket.ts';
import { type Clock, waitAtMost } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import { Afterwards } from './afterwards.ts';
import {
  decodeRequest,
  encodeReply,
  firstToolFrame,
  type Frame,
  frameTypes,
  type LauncherRequest,
  type Reply,
} from './frame.ts';
import { LauncherConnection } from './connection.ts';
import { podNamespace, WarmCaller } from './warm-caller.ts';
import { Aborted, type Caller, NotMine } from '../world.ts';

/** More at a time than any node starts pods at once. */
const maxConnections = 1024;
/** A connection that has not sent a whole frame by then is closed, in milliseconds. */
const firstFrameLimit = 10_000;

/** Files that requests name are few, and the same ones: those of each network. */
const maxSeen = 256;

/** After a connection could not be taken, which waits and would be reported at once again; in milliseconds. */
const acceptAgainAfter = 100;

/**
 * So long a stop waits for requests to be served, and then for what it takes to undo those that are given up; and for a sweep. In
 * milliseconds.
 */
export const drainLimit = 2_000;

const { EAGAIN, ECONNREFUSED, ENOENT } = { EAGAIN: 11, ECONNREFUSED: 111, ENOENT: 2 };

/** Does what a request asks for. Rejects with NotMine or Aborted, and with nothing else. */
export type Serve = (request: LauncherRequest, caller: Caller) => Promise<Reply>;

export interface ServerOptions {
  binding: Binding;
  clock: Clock;
  log: Log;
  /** Of the socket. */
  path: string;
  /** The namespace that this process serves, as `<dev>:<ino>`. */
  ownNetns: string;
  /** The mount namespace that it is in, in the same way. */
  ownMounts: string;
  serve: Serve;
  /** Answers frames of types from 32 on, for cni-tool: the payload in, the answer's payload out. */
  handlers?: ReadonlyMap<number, (payload: Buffer) => Promise<Uint8Array>>;
}

/** The unix socket on which flanneld serves launchers, and cni-tool. */
export class CniServer {
  readonly #options: ServerOptions;
  /** Whoever has one waits for the daemon. */
  readonly #connections = new Set<LauncherConnection>();
  /** The last request of each container: they come one after the other. */
  readonly #turns = new Map<string, Promise<void>>();
  readonly #seen = new Set<string>();
  /** Requests, until all is done that they ask for. */
  readonly #served = new Set<Promise<void>>();
  readonly #afterwards: Afterwards;
  #fd = -1;
  /** Of the socket's file. */
  #file: string | undefined;
  #cancelPause: (() => void) | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#afterwards = new Afterwards(options.clock, () => this.#connections.size === 0);
  }

  /** Throws an Error when the socket cannot be made, or somebody serves it already. */
  listen(): void {
    const { binding, path } = this.#options;
    const probe = binding.connectUnix(path);
    if (probe >= 0) {
      binding.close(probe);
      throw new Error(`${path} is served already: is another flanneld running? Stop it first`);
    }
    if (probe === -ECONNREFUSED) removeSocket(path);
    else if (probe !== -ENOENT) throw new Error(`cannot use the socket ${path}: ${errorText(probe)}`);
    this.#fd = binding.listenUnix(path, 0o600);
    if (this.#fd < 0) throw new Error(`cannot listen on ${path}: ${errorText(this.#fd)}`);
    this.#file = fileAt(path);
    this.#watch();
  }

  #watch(): void {
    this.#options.binding.watch(this.#fd, () => this.#accept());
  }

  #pause(): void {
    this.#options.binding.unwatch(this.#fd);
    this.#cancelPause = this.#options.clock.after(acceptAgainAfter, () => this.#watch());
  }

  /**
   * Takes no more requests; resolves when those that are being served are done, with what was put off. What takes too long is undone,
   * unless its launcher may be at it.
   */
  async close(): Promise<void> {
    if (this.#fd < 0) return;
    this.#cancelPause?.();
    this.#removeFile();
    this.#options.binding.close(this.#fd);
    this.#fd = -1;
    this.#afterwards.close();
    await this.#drained();
    for (const connection of this.#connections) connection.close();
    await this.#drained();
  }

  /** Somebody else's may be in its place. As long as the socket is open nothing else gets its file's number. */
  #removeFile(): void {
    const { path, log } = this.#options;
    try {
      if (this.#file !== undefined && fileAt(path) === this.#file) rmSync(path, { force: true });
    } catch (err) {
      log.warn({ err }, `the socket ${path} could not be removed, and is left where it is`);
    }
  }

  #drained(): Promise<void> {
    return waitAtMost(this.#options.clock, drainLimit, Promise.all(this.#served));
  }

  #accept(): void {
    const { binding, clock, log } = this.#options;
    const fd = binding.acceptUnix(this.#fd);
    if (fd === -EAGAIN) return;
    if (fd < 0) {
      log.warn({ errno: -fd }, `cannot accept a connection: ${errorText(fd)}`);
      return this.#pause();
    }
    const peer = binding.peerCredentials(fd);
    if (typeof peer === 'number' || peer[1] !== 0 || this.#connections.size >= maxConnections) {
      log.warn({ peer, connections: this.#connections.size }, 'refused a connection to the CNI socket');
      binding.close(fd);
      return;
    }
    let caller: WarmCaller | undefined;
    let cancelLimit = (): void => {};
    const connection: LauncherConnection = new LauncherConnection(binding, clock, fd, {
      frame: (frame) => {
        cancelLimit();
        if (caller !== undefined) caller.frame(frame);
        else caller = this.#first(connection, frame);
      },
      closed: (isGone) => {
        cancelLimit();
        this.#connections.delete(connection);
        this.#afterwards.look();
        caller?.closed(isGone);
      },
    });
    this.#connections.add(connection);
    connection.look();
    if (caller !== undefined || connection.closed) return;
    cancelLimit = clock.after(firstFrameLimit, () => connection.close());
    connection.listen();
  }

  /** A connection's first frame says what it is for. */
  #first(connection: LauncherConnection, { type, payload }: Frame): WarmCaller | undefined {
    if (this.#fd < 0) {
      connection.close();
      return undefined;
    }
    if (type >= firstToolFrame) {
      void this.#answerTool(connection, type, payload);
      return undefined;
    }
    const request = type === frameTypes.REQUEST ? decodeRequest(payload) : undefined;
    if (request === undefined) {
      connection.close();
      return undefined;
    }
    return this.#begin(connection, request);
  }

  #begin(connection: LauncherConnection, request: LauncherRequest): WarmCaller | undefined {
    const { binding, ownMounts } = this.#options;
    const { environment } = request;
    const descriptors = connection.takeDescriptors();
    const release = () => {
      for (const fd of descriptors) binding.close(fd);
    };
    const [claim] = descriptors;
    const sessionOn = (fd: number) => new SyncSession(adoptSocket(binding, fd));
    const pod = podNamespace(environment['FLANNEL_NETNS'], descriptors, sessionOn);
    if (claim === undefined || pod === undefined) {
      release();
      connection.close();
      return undefined;
    }
    const options = {
      exists: (file: string) => this.#sees(file),
      hasSameMounts: environment['FLANNEL_OWN_MNTNS'] === ownMounts,
      claim: () => take(claim),
      isAlone: () => this.#connections.size === 1,
      cpu: () => binding.cpu(),
    };
    const caller = new WarmCaller(connection, pod, options);
    const served = this.#serveAndMore(connection, request, caller).finally(() => {
      release();
      this.#served.delete(served);
    });
    this.#served.add(served);
    return caller;
  }

  async #serveAndMore(
    connection: LauncherConnection,
    request: LauncherRequest,
    caller: WarmCaller,
  ): Promise<void> {
    await this.#serve(connection, request, caller);
    for (const work of caller.takeAfterwards()) await this.#afterwards.add(work);
  }

  /** What was there once is where both see it: what is gone later is gone for the launcher, too. */
  #sees(file: string): boolean {
    if (this.#seen.has(file)) return true;
    if (!existsSync(file)) return false;
    if (this.#seen.size >= maxSeen) this.#seen.clear();
    this.#seen.add(file);
    return true;
  }

  async #serve(connection: LauncherConnection, request: LauncherRequest, caller: WarmCaller): Promise<void> {
    const { serve, ownNetns, log } = this.#options;
    const { environment } = request;
    try {
      if (environment['FLANNEL_OWN_NETNS'] !== ownNetns) {
        throw new NotMine('the launcher runs in another network namespace than flanneld');
      }
      const reply = await this.#inTurn(environment['CNI_CONTAINERID'] ?? '', () => serve(request, caller));
      if (!caller.answered) connection.send(frameTypes.REPLY, ...encodeReply(reply));
      connection.finish();
    } catch (error) {
      if (error instanceof NotMine) {
        connection.send(frameTypes.NOT_MINE, Buffer.from(error.message));
        return connection.finish();
      }
      if (!(error instanceof Aborted)) log.error({ err: error }, 'a CNI request failed unexpectedly');
      connection.close();
    }
  }

  /** Requests for one container wait for one another: they share files and rules. */
  async #inTurn<T>(containerID: string, work: () => Promise<T>): Promise<T> {
    if (containerID === '') return work();
    const before = this.#turns.get(containerID);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turns.set(containerID, promise);
    await before;
    try {
      return await work();
    } finally {
      resolve();
      if (this.#turns.get(containerID) === promise) this.#turns.delete(containerID);
    }
  }

  async #answerTool(connection: LauncherConnection, type: number, payload: Buffer): Promise<void> {
    const handler = this.#options.handlers?.get(type);
    try {
      if (handler !== undefined) connection.send(type, await handler(payload));
    } catch (error) {
      this.#options.log.error({ err: error, type }, 'a request of cni-tool failed');
    }
    connection.finish();
  }
}

/** One that nobody serves. Of any other file, too, connect(2) says that nobody does. */
function removeSocket(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isSocket() === false) {
    throw new Error(`${path} is no socket: move it away, or name another place (--socket)`);
  }
  rmSync(path, { force: true });
}

/** As `<dev>:<ino>`; undefined when there is none. */
function fileAt(path: string): string | undefined {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat && `${stat.dev}:${stat.ino}`;
}

/** Reads the eventfd that came with a request: false when the launcher has done that before us. */
function take(claim: number): boolean {
  try {
    return readSync(claim, new Uint8Array(8)) === 8;
  } catch {
    return false;
  }
}

const errorText = (result: number): string => getSystemErrorMap().get(result)?.[1] ?? `errno ${-result}`;
