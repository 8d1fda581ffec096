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

/**
 * Requests in one buffer, with sequence numbers in a row. At one of them the kernel is to say that it has come so far; failures
 * are reported always.
 */
abstract class NumberedRequests<Result> implements Transaction<Result> {
  readonly bytes: Uint8Array;
  protected readonly requests: readonly Request[];
  /** The first thing that went wrong. */
  protected error: unknown;
  readonly #first: number;

  /** Takes as many sequence numbers as there are requests, from `first`; the request at `answered` has the `flags` besides. */
  constructor(requests: readonly Request[], first: number, answered: number, flags: number = k.NLM_F_ACK) {
    this.requests = requests;
    this.#first = first;
    const writer = new Writer(requests.reduce((sum, request) => sum + request.body.length + 20, 0));
    for (const [i, request] of requests.entries()) {
      const asks = i === answered ? flags : 0;
      writeMessage(writer, request, request.flags | k.NLM_F_REQUEST | asks, first + i);
    }
    this.bytes = writer.written;
  }

  accept(datagram: Uint8Array): boolean {
    let done = false;
    try {
      for (const frame of frames(datagram)) {
        const index = frame.seq - this.#first;
        const request = this.requests[index];
        if (request !== undefined) done = this.take(frame, request, index) || done;
      }
    } catch (error) {
      this.error ??= error;
    }
    return done;
  }

  abstract lost(): void;
  abstract result(): Result;
  /** What comes in answer to the request of that index. True when nothing more will. */
  protected abstract take(frame: Frame, request: Request, index: number): boolean;
}

/** A request with its answers, up to the acknowledgement. */
export class Single<T> extends NumberedRequests<T[]> {
  protected readonly replies: T[] = [];
  readonly #request: Request<T>;

  constructor(request: Request<T>, seq: number, flags?: number) {
    super([request], seq, 0, flags);
    this.#request = request;
  }

  lost(): void {
    this.error ??= new NetlinkError(`${this.#request.name}: the answer was lost`, ENOBUFS);
  }

  result(): T[] {
    if (this.error !== undefined) throw this.error;
    return this.replies;
  }

  /** An answer that cannot be read is kept as the error: the rest must still be fetched off the socket. */
  protected take(frame: Frame): boolean {
    if (frame.type === k.NLMSG_ERROR || frame.type === k.NLMSG_DONE) {
      this.error ??= readAcknowledgement(frame, this.#request);
      return true;
    }
    if (frame.type === k.NLMSG_OVERRUN) this.lost();
    if (frame.type < k.NLMSG_MIN_TYPE) return false;
    try {
      this.replies.push(this.#request.codec.decode(frame.view, frame.start, frame.end));
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
 * Several requests, each with an outcome of its own. Only the last one asks for an acknowledgement: what has not failed by then
 * succeeded.
 */
export class Batch extends NumberedRequests<(NetlinkError | undefined)[]> {
  readonly #outcomes: (NetlinkError | undefined)[];
  #lost = false;

  constructor(requests: readonly Request[], first: number) {
    super(requests, first, requests.length - 1);
    this.#outcomes = requests.map(() => undefined);
  }

  lost(): void {
    this.#lost = true;
  }

  /** When answers were lost, a request that reported nothing has the outcome ENOBUFS: look at what is. */
  result(): (NetlinkError | undefined)[] {
    if (this.error !== undefined) throw this.error;
    if (!this.#lost) return this.#outcomes;
    return this.#outcomes.map(
      (outcome, i) => outcome ?? new NetlinkError(`${this.requests[i]?.name}: the answer was lost`, ENOBUFS),
    );
  }

  protected take(frame: Frame, request: Request, index: number): boolean {
    if (frame.type !== k.NLMSG_ERROR) return false;
    this.#outcomes[index] = readAcknowledgement(frame, request);
    return index === this.requests.length - 1;
  }
}

/**
 * A netfilter transaction: a message that begins it, changes, and one that ends it. All are done or none is.
 * The last change asks for the acknowledgement, for older kernels give none to the end.
 */
export class AllOrNothing extends NumberedRequests<void> {
  constructor(requests: readonly Request[], first: number) {
    super(requests, first, requests.length - 2);
  }

  lost(): void {
    this.error ??= new NetlinkError(`${this.requests[1]?.name}: the answer was lost`, ENOBUFS);
  }

  result(): void {
    if (this.error !== undefined) throw this.error;
  }

  /** One that is refused at its beginning is not looked at further. */
  protected take(frame: Frame, request: Request, index: number): boolean {
    if (frame.type !== k.NLMSG_ERROR) return false;
    this.error ??= readAcknowledgement(frame, request);
    return index === 0 || index >= this.requests.length - 2;
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
