import type { Binding } from '../../native/binding.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import type { Sysctl } from './attachment-sysctls.ts';
import { decodeOutcomes, encodeSysctls, type Frame, frameTypes, type Reply } from './frame.ts';
import type { LauncherConnection } from './launcher-connection.ts';
import { Aborted, type Caller, NotMine, type PodNamespace } from './world.ts';

/** The launcher as the verbs see it: what it lets the daemon do, over its connection. */
export class WarmCaller implements Caller {
  readonly pod: PodNamespace;
  readonly podIsOwn: boolean;
  readonly #connection: LauncherConnection;
  readonly #exists: (file: string) => boolean;
  /** What the daemon waits for from the launcher now. */
  #waiting: { type: number; resolve(payload: Buffer): void; reject(error: Error): void } | undefined;

  constructor(
    connection: LauncherConnection,
    pod: PodNamespace,
    podIsOwn: boolean,
    exists: (file: string) => boolean,
  ) {
    this.#connection = connection;
    this.pod = pod;
    this.podIsOwn = podIsOwn;
    this.#exists = exists;
  }

  async begin(): Promise<void> {
    await this.#ask(frameTypes.ACCEPTED, undefined, frameTypes.GO);
  }

  aborted(): boolean {
    return this.#connection.closed;
  }

  expect(files: readonly string[]): void {
    const unseen = files.find((file) => !this.#exists(file));
    if (unseen !== undefined) throw new NotMine(`${unseen} does not exist where flanneld runs`);
  }

  async writeSysctls(sysctls: readonly Sysctl[]): Promise<readonly number[]> {
    const { SYSCTLS, SYSCTLS_DONE } = frameTypes;
    const payload = await this.#ask(SYSCTLS, encodeSysctls(sysctls), SYSCTLS_DONE);
    const outcomes = decodeOutcomes(payload, sysctls.length);
    if (outcomes === undefined) throw this.#misbehaved();
    return outcomes;
  }

  expectDelegate(type: string): void {
    throw new NotMine(`flanneld does not run other plugins, and "${type}" is one`);
  }

  async delegate(type: string): Promise<Reply> {
    return this.expectDelegate(type) as never;
  }

  /** What came after the request. Anything that was not asked for ends the connection. */
  frame({ type, payload }: Frame): void {
    const waiting = this.#waiting;
    if (waiting?.type !== type) return this.#connection.close();
    this.#waiting = undefined;
    waiting.resolve(payload);
  }

  closed(): void {
    this.#waiting?.reject(new Aborted());
    this.#waiting = undefined;
  }

  #ask(type: number, payload: Uint8Array | undefined, answer: number): Promise<Buffer> {
    if (this.#connection.closed) return Promise.reject(new Aborted());
    return new Promise((resolve, reject) => {
      this.#waiting = { type: answer, resolve, reject };
      this.#connection.send(type, payload);
    });
  }

  #misbehaved(): Aborted {
    this.#connection.close();
    return new Aborted();
  }
}

/** Turns what the launcher saw and sent into a namespace; takes the descriptors over. */
export function podNamespace(
  state: string | undefined,
  descriptors: readonly number[],
  open: (fd: number, socketFd: number) => PodNamespace,
): PodNamespace | undefined {
  const [fd, socketFd] = descriptors;
  if (state === 'ok') return fd !== undefined && socketFd !== undefined ? open(fd, socketFd) : undefined;
  if (state === 'absent' || state === 'missing' || state === 'foreign') return { state };
  const errno = /^error:(\d+)$/.exec(state ?? '')?.[1];
  return errno === undefined ? undefined : { state: 'error', errno: Number(errno) };
}

/** Closes what came with a request. */
export function closeDescriptors(
  binding: Binding,
  descriptors: readonly number[],
  socket: NetlinkSocket | undefined,
): void {
  const [fd, socketFd, ...rest] = descriptors;
  if (socket !== undefined) socket.close();
  else if (socketFd !== undefined) binding.close(socketFd);
  for (const other of [fd, ...rest]) if (other !== undefined) binding.close(other);
}
