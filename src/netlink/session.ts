import type { Clock } from '../world/clock.ts';
import { NetlinkError } from './error.ts';
import type { Request } from './message.ts';
import { Sequence } from './sequence.ts';
import { isOverrun, type NetlinkSocket } from './socket.ts';
import { AllOrNothing, Batch, buffers, Dump, Single, type Transaction } from './transaction.ts';

const ETIMEDOUT = 110;
const EINTR = 4;
const ECANCELED = 125;
const EBUSY = 16;

/** How often a dump is asked for again when the kernel's tables change under it. */
const dumpAttempts = 10;
/** The kernel answers within send(2); only a kernel in trouble takes as long as this. */
const timeout = 10_000;
/** Requests that wait for their turn on one asynchronous session. */
const queueLimit = 65_536;
/** Datagrams read in one go before the event loop has its turn. */
const readBudget = 16;

/** Requests on a socket of their own, each waited for. For a program that does one thing and ends. */
export class SyncSession {
  readonly #socket: NetlinkSocket;
  readonly #sequence = new Sequence();

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** Sends and answers the replies, without the acknowledgement. Throws a NetlinkError. */
  request<T>(request: Request<T>): T[] {
    return this.#run(new Single(request, this.#sequence.take(1)), request.name);
  }

  /** All objects that `request` asks for. Throws a NetlinkError, EINTR when they keep changing. */
  dump<T>(request: Request<T>): T[] {
    for (let attempt = 0; attempt < dumpAttempts; attempt++) {
      const dump = new Dump(request, this.#sequence.take(1));
      const values = this.#run(dump, request.name);
      if (!dump.incomplete) return values;
    }
    throw interrupted(request);
  }

  /** The outcome of each request, in their order; one that fails keeps none of the others back. */
  batch(requests: readonly Request[]): (NetlinkError | undefined)[] {
    const outcomes: (NetlinkError | undefined)[] = [];
    for (const part of buffers(requests)) {
      outcomes.push(...this.#run(new Batch(part, this.#sequence.take(part.length)), nameOf(part)));
    }
    return outcomes;
  }

  /** Sends on a thread and reads no answers: for what nobody has to know the outcome of. Rejects when nothing could be sent. */
  async post(requests: readonly Request[]): Promise<void> {
    if (requests.length === 0) return;
    const { bytes } = new Batch(requests, this.#sequence.take(requests.length));
    await this.#socket.sendThreaded(bytes);
  }

  /** The ifindex of a link, undefined when there is none. Throws a NetlinkError. */
  indexOf(name: string): number | undefined {
    return this.#socket.indexOf(name);
  }

  /** All of a netfilter transaction, from its first message to its last. Throws the first NetlinkError; then nothing is done. */
  allOrNothing(requests: readonly Request[]): void {
    this.#run(new AllOrNothing(requests, this.#sequence.take(requests.length)), nameOf(requests));
  }

  close(): void {
    this.#socket.close();
  }

  #run<R>(transaction: Transaction<R>, name: string): R {
    this.#socket.send(transaction.bytes);
    for (;;) {
      const done = receiveAll(this.#socket, transaction, Number.POSITIVE_INFINITY);
      if (done) return transaction.result();
      if (!this.#socket.wait(timeout)) throw new NetlinkError(name, ETIMEDOUT);
    }
  }
}

interface Job {
  readonly transaction: Transaction<unknown>;
  readonly name: string;
  resolve(): void;
  reject(error: unknown): void;
}

/** The same for a program that does other things meanwhile. Requests go out one after the other. */
export class AsyncSession {
  readonly #socket: NetlinkSocket;
  readonly #clock: Clock;
  readonly #sequence = new Sequence();
  readonly #waiting: Job[] = [];
  #current: Job | undefined;
  #cancelTimeout: (() => void) | undefined;
  #closed = false;

  constructor(socket: NetlinkSocket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    socket.onReadable(() => this.#read());
  }

  /** See {@link SyncSession.request}. */
  request<T>(request: Request<T>): Promise<T[]> {
    return this.#run(new Single(request, this.#sequence.take(1)), request.name);
  }

  /** See {@link SyncSession.dump}. */
  async dump<T>(request: Request<T>): Promise<T[]> {
    for (let attempt = 0; attempt < dumpAttempts; attempt++) {
      const dump = new Dump(request, this.#sequence.take(1));
      const values = await this.#run(dump, request.name);
      if (!dump.incomplete) return values;
    }
    throw interrupted(request);
  }

  /** See {@link SyncSession.batch}. */
  async batch(requests: readonly Request[]): Promise<(NetlinkError | undefined)[]> {
    const parts = [...buffers(requests)].map((part) =>
      this.#run(new Batch(part, this.#sequence.take(part.length)), nameOf(part)),
    );
    return (await Promise.all(parts)).flat();
  }

  /** Rejects what is pending, with ECANCELED. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.onReadable(undefined);
    this.#socket.close();
    const pending = this.#current === undefined ? this.#waiting : [this.#current, ...this.#waiting];
    this.#cancelTimeout?.();
    this.#current = undefined;
    for (const job of pending.splice(0)) job.reject(new NetlinkError(job.name, ECANCELED));
    this.#waiting.length = 0;
  }

  #run<R>(transaction: Transaction<R>, name: string): Promise<R> {
    if (this.#closed) return Promise.reject(new NetlinkError(`${name}: the session is closed`, ECANCELED));
    if (this.#waiting.length >= queueLimit) {
      return Promise.reject(new NetlinkError(`${name}: ${queueLimit} requests are waiting already`, EBUSY));
    }
    return new Promise<R>((resolve, reject) => {
      this.#waiting.push({
        transaction,
        name,
        resolve: () => resolve(transaction.result()),
        reject,
      });
      this.#next();
    });
  }

  #next(): void {
    if (this.#current !== undefined) return;
    const job = this.#waiting.shift();
    if (job === undefined) return;
    this.#current = job;
    this.#cancelTimeout = this.#clock.after(timeout, () => {
      this.#finish(() => job.reject(new NetlinkError(job.name, ETIMEDOUT)));
    });
    try {
      this.#socket.send(job.transaction.bytes);
    } catch (error) {
      this.#finish(() => job.reject(error));
      return;
    }
    // The answer is there when send(2) returns, as a rule.
    this.#read();
  }

  #read(): void {
    const job = this.#current;
    try {
      if (!receiveAll(this.#socket, job?.transaction, readBudget) || job === undefined) return;
    } catch (error) {
      this.#finish(() => job?.reject(error));
      return;
    }
    this.#finish(() => {
      try {
        job.resolve();
      } catch (error) {
        job.reject(error);
      }
    });
  }

  #finish(settle: () => void): void {
    this.#cancelTimeout?.();
    this.#current = undefined;
    settle();
    // The event loop has its turn between two requests; with a long queue this would recurse otherwise.
    if (this.#waiting.length > 0) setImmediate(() => this.#next());
  }
}

/** Reads what is there, `budget` datagrams at most; true when the transaction is done. Nobody's answers are dropped. */
function receiveAll(
  socket: NetlinkSocket,
  transaction: Transaction<unknown> | undefined,
  budget: number,
): boolean {
  let overrun = false;
  for (let i = 0; i < budget || overrun; i++) {
    try {
      const datagram = socket.receive();
      // After an overrun the acknowledgement itself may be what was lost. All there will be is there.
      if (datagram === undefined) return overrun;
      if (transaction?.accept(datagram) === true) return true;
    } catch (error) {
      if (!isOverrun(error)) throw error;
      transaction?.lost();
      overrun = true;
    }
  }
  return false;
}

const interrupted = (request: Request): NetlinkError =>
  new NetlinkError(
    `${request.name}: the kernel's tables changed during each of ${dumpAttempts} dumps`,
    EINTR,
  );

const nameOf = (part: readonly Request[]): string => `a batch of ${part.length} from ${part[0]?.name}`;
