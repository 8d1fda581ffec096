import type { SyncSession } from '../../netlink/session.ts';
import { decodeDone, encodeAhead, encodeWork, type Frame, frameTypes, type Reply, success } from './frame.ts';
import type { LauncherConnection } from './connection.ts';
import { Script } from './script.ts';
import type { Task } from '../attachment/task.ts';
import { Aborted, type Caller, NotMine, Parted, type PodNamespace } from '../world.ts';

/** The launcher as the verbs see it: what it lets the daemon do, over its connection. */
export class WarmCaller implements Caller {
  readonly pod: PodNamespace;
  readonly podIsOwn: boolean;
  readonly isWarm = true;
  readonly #connection: LauncherConnection;
  readonly #exists: (file: string) => boolean;
  readonly #hasSameMounts: boolean;
  readonly #claim: () => boolean;
  readonly #afterwards: (() => Promise<void>)[] = [];
  #answered = false;
  readonly #isAlone: () => boolean;
  readonly #cpu: () => number;
  /** What the launcher does already. */
  #ahead: Script | undefined;
  /** What the daemon waits for from the launcher now. */
  #waiting: { type: number; resolve(payload: Buffer): void; reject(error: Error): void } | undefined;

  constructor(
    connection: LauncherConnection,
    { pod, podIsOwn }: Pick<Caller, 'pod' | 'podIsOwn'>,
    options: {
      exists: (file: string) => boolean;
      /** The launcher's names are those of the same files here. */
      hasSameMounts: boolean;
      /** Takes the request, unless its launcher has given it up. */
      claim: () => boolean;
      /** Nobody else waits for the daemon. */
      isAlone: () => boolean;
      /** Where this thread is. */
      cpu: () => number;
    },
  ) {
    this.#connection = connection;
    this.pod = pod;
    this.podIsOwn = podIsOwn;
    this.#exists = options.exists;
    this.#hasSameMounts = options.hasSameMounts;
    this.#claim = options.claim;
    this.#isAlone = options.isAlone;
    this.#cpu = options.cpu;
  }

  /** The launcher has printed the answer and is gone. */
  get answered(): boolean {
    return this.#answered;
  }

  begin(): void {
    if (this.aborted() || !this.#claim()) throw new Aborted();
  }

  aborted(): boolean {
    if (this.#answered) return false;
    this.#connection.look();
    return this.#connection.closed;
  }

  expect(files: readonly string[]): void {
    const unseen = files.find((file) => !this.#exists(file));
    if (unseen !== undefined) throw new NotMine(`${unseen} does not exist where flanneld runs`);
  }

  expectSame(file: string): void {
    if (!this.#hasSameMounts) throw new NotMine(`${file} may be another file where flanneld runs`);
  }

  /** Where others wait for the daemon, too, nothing is won: they keep all CPUs busy, and each frame costs time. */
  get start(): Caller['start'] {
    return this.#isAlone() ? (tasks) => this.#start(tasks) : undefined;
  }

  #start(tasks: readonly Task[]): void {
    this.#ahead = new Script(tasks, this.#ahead);
    this.#connection.send(frameTypes.AHEAD, ...encodeAhead(this.#ahead.bytes, this.#cpu()));
  }

  async perform(tasks: readonly Task[], stdout?: string): Promise<boolean> {
    if (tasks.length === 0 && this.#ahead === undefined && stdout === undefined) return false;
    const script = new Script(tasks, this.#ahead);
    this.#ahead = undefined;
    const work = encodeWork(script.bytes, stdout === undefined ? undefined : success(stdout));
    const done = decodeDone(await this.#ask(frameTypes.WORK, work, frameTypes.DONE));
    if (done === undefined) throw this.#misbehaved();
    const refusal = script.outcome(done.count, done.errno, done.answer);
    if (refusal !== undefined) throw refusal;
    this.#answered = stdout !== undefined;
    return done.answer.length > 0;
  }

  async afterwards(work: () => Promise<void>): Promise<void> {
    this.#afterwards.push(work);
  }

  /** What was put off until the answer is out; the caller's to do now. */
  takeAfterwards(): (() => Promise<void>)[] {
    return this.#afterwards.splice(0);
  }

  expectDelegate(type: string): never {
    throw new NotMine(`flanneld does not run other plugins, and "${type}" is one`);
  }

  async delegate(type: string): Promise<Reply> {
    return this.expectDelegate(type);
  }

  /** What came after the request. Anything that was not asked for ends the connection. */
  frame({ type, payload }: Frame): void {
    const waiting = this.#waiting;
    if (waiting?.type !== type) return this.#connection.close();
    this.#waiting = undefined;
    waiting.resolve(payload);
  }

  /** Only a launcher that is gone does nothing any more. */
  closed(isGone: boolean): void {
    this.#waiting?.reject(isGone ? new Aborted() : new Parted());
    this.#waiting = undefined;
  }

  #ask(type: number, payload: readonly Uint8Array[], answer: number): Promise<Buffer> {
    if (this.#connection.closed) return Promise.reject(new Aborted());
    return new Promise((resolve, reject) => {
      this.#waiting = { type: answer, resolve, reject };
      this.#connection.send(type, ...payload);
      this.#connection.listen();
    });
  }

  #misbehaved(): Parted {
    this.#connection.close();
    return new Parted();
  }
}

/** Turns what the launcher saw and sent into a namespace; takes the socket over. */
export function podNamespace(
  state: string | undefined,
  descriptors: readonly number[],
  sessionOn: (socketFd: number) => SyncSession,
): Pick<Caller, 'pod' | 'podIsOwn'> | undefined {
  const [word, number] = state?.split(':') ?? [];
  if (word === 'absent' || word === 'missing' || word === 'foreign')
    return { pod: { state: word }, podIsOwn: false };
  if (number === undefined || !/^\d+$/.test(number)) return undefined;
  if (word === 'error') return { pod: { state: word, errno: Number(number) }, podIsOwn: false };
  const [, socketFd, ...more] = descriptors;
  // More come from a launcher of another version, which does it alone.
  if ((word !== 'open' && word !== 'own') || socketFd === undefined || more.length > 0) return undefined;
  const pod = { state: 'open', fdOfCaller: Number(number), session: sessionOn(socketFd) } as const;
  return { pod, podIsOwn: word === 'own' };
}
