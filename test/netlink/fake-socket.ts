import { NetlinkError } from '../../src/netlink/error.ts';
import { frames, type Request } from '../../src/netlink/message.ts';
import type { NetlinkSocket } from '../../src/netlink/socket.ts';

/** What `receive` answers, or throws. */
export type Incoming = Uint8Array | NetlinkError;

/** A NetlinkSocket whose other end is a function instead of the kernel. */
export class FakeSocket implements NetlinkSocket {
  readonly fd = -1;
  closed = false;
  readonly #handle: (bytes: Uint8Array, socket: FakeSocket) => void;
  readonly #incoming: Incoming[] = [];
  #callback: (() => void) | undefined;
  #scheduled = false;

  /** `handle` gets every datagram that is sent, and answers with {@link FakeSocket.push}. */
  constructor(handle: (bytes: Uint8Array, socket: FakeSocket) => void) {
    this.#handle = handle;
  }

  /** Puts datagrams, or errors such as ENOBUFS, where `receive` finds them. */
  push(...incoming: readonly Incoming[]): void {
    this.#incoming.push(...incoming);
    this.#schedule();
  }

  send(bytes: Uint8Array): void {
    if (this.closed) throw new NetlinkError('netlink socket: closed', 9);
    this.#handle(bytes.slice(), this);
  }

  receive(): Uint8Array | undefined {
    if (this.closed) throw new NetlinkError('netlink socket: closed', 9);
    const next = this.#incoming.shift();
    if (next instanceof Error) throw next;
    return next;
  }

  /** For a script without links. */
  indexOf(_name: string): number | undefined {
    return undefined;
  }

  receiveMany(): Uint8Array | undefined {
    return this.receive();
  }

  wait(): boolean {
    return this.#incoming.length > 0;
  }

  onReadable(callback: (() => void) | undefined): void {
    this.#callback = callback;
    this.#schedule();
  }

  /** The other end handles it at once; the send itself comes back one turn of the event loop later, as after RCU. */
  async sendThreaded(bytes: Uint8Array): Promise<void> {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    if (this.closed) return;
    this.send(bytes);
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }

  close(): void {
    this.closed = true;
    this.#callback = undefined;
  }

  #schedule(): void {
    if (this.#scheduled || this.#callback === undefined || this.#incoming.length === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#incoming.length > 0) this.#callback?.();
      this.#schedule();
    });
  }
}

interface Step {
  readonly request: Pick<Request, 'name' | 'type' | 'body'>;
  readonly answer: (seq: number) => readonly Incoming[];
}

/** Expects these requests, one after the other, and answers each as the script says. */
export class ScriptedSocket extends FakeSocket {
  readonly #steps: Step[] = [];

  constructor() {
    super((bytes) => {
      for (const { type, seq, start, end } of frames(bytes)) {
        const step = this.#steps.shift();
        if (step === undefined) throw new Error(`a message of type ${type} that nobody expected`);
        const body = Buffer.from(bytes.subarray(start, end));
        if (type !== step.request.type || !body.equals(step.request.body)) {
          const wanted = Buffer.from(step.request.body).toString('hex');
          throw new Error(
            `expected ${step.request.name} ${wanted}, found type ${type} ${body.toString('hex')}`,
          );
        }
        this.push(...step.answer(seq));
      }
    });
  }

  /** `answer` makes the datagrams that come back, from the request's sequence number. */
  expect(request: Step['request'], answer: Step['answer'] = () => []): this {
    this.#steps.push({ request, answer });
    return this;
  }

  /** Throws when the script was not played to its end. */
  assertDone(): void {
    const [next] = this.#steps;
    if (next !== undefined)
      throw new Error(`${this.#steps.length} requests did not come, ${next.request.name} first`);
  }
}
