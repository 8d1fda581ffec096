import { readAcknowledgement } from './acknowledgement.ts';
import * as k from './constants.ts';
import { NetlinkError } from './error.ts';
import { type Frame, frames, type Request, writeMessage } from './message.ts';
import { Writer } from './writer.ts';

const ENOBUFS = 105;

/**
 * One exchange with the kernel, without the socket: the bytes to send, then every datagram that comes,
 * until it is done. What answers earlier exchanges is passed over by its sequence number.
 */
export interface Transaction<Result> {
  readonly bytes: Uint8Array;
  /** True when nothing more will come. Never throws; what is wrong is thrown by `result`. */
  accept(datagram: Uint8Array): boolean;
  /** The socket lost something: the answers may be incomplete. */
  lost(): void;
  /** Throws what went wrong. */
  result(): Result;
}

/** A request with its answers, up to the acknowledgement. */
export class Single<T> implements Transaction<T[]> {
  readonly bytes: Uint8Array;
  protected readonly request: Request<T>;
  protected readonly replies: T[] = [];
  protected error: unknown;
  readonly #seq: number;

  constructor(request: Request<T>, seq: number, flags: number = k.NLM_F_ACK) {
    this.request = request;
    this.#seq = seq;
    const writer = new Writer(request.body.length + 32);
    writeMessage(writer, request, request.flags | k.NLM_F_REQUEST | flags, seq);
    this.bytes = writer.finish();
  }

  accept(datagram: Uint8Array): boolean {
    let done = false;
    try {
      for (const frame of frames(datagram)) {
        if (frame.seq === this.#seq) done = this.take(frame) || done;
      }
    } catch (error) {
      this.error ??= error;
    }
    return done;
  }

  lost(): void {
    this.error ??= new NetlinkError(`${this.request.name}: the answer was lost`, ENOBUFS);
  }

  result(): T[] {
    if (this.error !== undefined) throw this.error;
    return this.replies;
  }

  /** An answer that cannot be read is kept as the error: the rest must still be fetched off the socket. */
  protected take(frame: Frame): boolean {
    if (frame.type === k.NLMSG_ERROR || frame.type === k.NLMSG_DONE) {
      this.error ??= readAcknowledgement(frame, this.request);
      return true;
    }
    if (frame.type === k.NLMSG_OVERRUN) this.lost();
    if (frame.type < k.NLMSG_MIN_TYPE) return false;
    try {
      this.replies.push(this.request.codec.decode(frame.view, frame.start, frame.end));
    } catch (error) {
      this.error ??= error;
    }
    return false;
  }
}

/** All objects of a kind. */
export class Dump<T> extends Single<T> {
  /** The kernel's tables changed meanwhile (NLM_F_DUMP_INTR), or answers were lost: ask again. */
  incomplete = false;

  constructor(request: Request<T>, seq: number) {
    super(request, seq, k.NLM_F_DUMP);
  }

  override lost(): void {
    this.incomplete = true;
  }

  protected override take(frame: Frame): boolean {
    if ((frame.flags & k.NLM_F_DUMP_INTR) !== 0) this.incomplete = true;
    return super.take(frame);
  }
}

/**
 * Several requests in one buffer, each with an outcome of its own. Only the last one asks for an
 * acknowledgement: failures are reported always, and what did not fail succeeded.
 */
export class Batch implements Transaction<(NetlinkError | undefined)[]> {
  readonly bytes: Uint8Array;
  readonly #requests: readonly Request[];
  readonly #first: number;
  readonly #outcomes: (NetlinkError | undefined)[];
  /** Outcomes that are known for certain; matters only when answers were lost. */
  #lost = false;
  #error: unknown;

  /** Takes as many sequence numbers as there are requests, from `first`. */
  constructor(requests: readonly Request[], first: number) {
    this.#requests = requests;
    this.#first = first;
    this.#outcomes = requests.map(() => undefined);
    const writer = new Writer(requests.reduce((sum, request) => sum + request.body.length + 20, 0));
    for (const [i, request] of requests.entries()) {
      const ack = i === requests.length - 1 ? k.NLM_F_ACK : 0;
      writeMessage(writer, request, request.flags | k.NLM_F_REQUEST | ack, first + i);
    }
    this.bytes = writer.finish();
  }

  accept(datagram: Uint8Array): boolean {
    let done = false;
    try {
      for (const frame of frames(datagram)) done = this.#take(frame) || done;
    } catch (error) {
      this.#error ??= error;
    }
    return done;
  }

  lost(): void {
    this.#lost = true;
  }

  /** When answers were lost, a request that reported nothing has the outcome ENOBUFS: look at what is. */
  result(): (NetlinkError | undefined)[] {
    if (this.#error !== undefined) throw this.#error;
    if (!this.#lost) return this.#outcomes;
    return this.#outcomes.map(
      (outcome, i) => outcome ?? new NetlinkError(`${this.#requests[i]?.name}: the answer was lost`, ENOBUFS),
    );
  }

  #take(frame: Frame): boolean {
    const index = frame.seq - this.#first;
    const request = this.#requests[index];
    if (request === undefined || frame.type !== k.NLMSG_ERROR) return false;
    this.#outcomes[index] = readAcknowledgement(frame, request);
    return index === this.#requests.length - 1;
  }
}

/**
 * A netfilter transaction: a message that begins it, changes, and one that ends it. All are done or none is.
 * The last change asks for the acknowledgement, for older kernels give none to the end.
 */
export class AllOrNothing implements Transaction<void> {
  readonly bytes: Uint8Array;
  readonly #requests: readonly Request[];
  readonly #first: number;
  #error: unknown;

  /** Takes as many sequence numbers as there are requests, from `first`. */
  constructor(requests: readonly Request[], first: number) {
    this.#requests = requests;
    this.#first = first;
    const writer = new Writer(requests.reduce((sum, request) => sum + request.body.length + 20, 0));
    for (const [i, request] of requests.entries()) {
      const ack = i === requests.length - 2 ? k.NLM_F_ACK : 0;
      writeMessage(writer, request, request.flags | k.NLM_F_REQUEST | ack, first + i);
    }
    this.bytes = writer.finish();
  }

  accept(datagram: Uint8Array): boolean {
    let done = false;
    try {
      for (const frame of frames(datagram)) done = this.#take(frame) || done;
    } catch (error) {
      this.#error ??= error;
    }
    return done;
  }

  lost(): void {
    this.#error ??= new NetlinkError(`${this.#requests[1]?.name}: the answer was lost`, ENOBUFS);
  }

  result(): void {
    if (this.#error !== undefined) throw this.#error;
  }

  /** One that is refused at its beginning is not looked at further. */
  #take(frame: Frame): boolean {
    const index = frame.seq - this.#first;
    const request = this.#requests[index];
    if (request === undefined || frame.type !== k.NLMSG_ERROR) return false;
    this.#error ??= readAcknowledgement(frame, request);
    return index === 0 || index >= this.#requests.length - 2;
  }
}

/** Splits into buffers of at most 32 KiB, which the kernel takes in one send. */
export function* buffers(requests: readonly Request[]): Generator<readonly Request[], void> {
  const limit = 32 * 1024;
  let start = 0;
  let size = 0;
  for (const [i, { body }] of requests.entries()) {
    const length = body.length + 20;
    if (i > start && size + length > limit) {
      yield requests.slice(start, i);
      start = i;
      size = 0;
    }
    size += length;
  }
  if (start < requests.length) yield requests.slice(start);
}
