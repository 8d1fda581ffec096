import { readSync } from 'node:fs';
import { loadBinding } from '../../native/binding.ts';

/** The frames of docs/launcher-protocol.md. */
export const REQUEST = 1;
export const REPLY = 2;
export const NOT_MINE = 3;
export const WORK = 4;
export const DONE = 5;
export const AHEAD = 6;

export interface Frame {
  readonly type: number;
  readonly payload: Buffer;
}

const binding = loadBinding();
const EAGAIN = -11;

export function u32(...numbers: number[]): Buffer {
  const bytes = Buffer.alloc(4 * numbers.length);
  numbers.forEach((number, index) => bytes.writeUInt32LE(number, 4 * index));
  return bytes;
}

/** The payload of a REPLY. */
export function reply(status: number, stdout: string, stderr = ''): Buffer {
  const output = Buffer.from(stdout);
  return Buffer.concat([u32(status, output.length), output, Buffer.from(stderr)]);
}

/** The payload of WORK. */
export function work(script: Uint8Array, tail: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([u32(script.length), script, tail]);
}

/** The payload of AHEAD, from a daemon on this CPU; one that no machine has, unless it says otherwise. */
export function ahead(script: Uint8Array, cpu = 0x7fffffff): Buffer {
  return Buffer.concat([u32(cpu), script]);
}

export interface Done {
  readonly count: number;
  readonly errno: number;
  readonly answer: Buffer;
}

/** What a DONE tells. */
export function doneOf(frame: Frame | undefined): Done | undefined {
  if (frame?.type !== DONE) return undefined;
  const { payload } = frame;
  return { count: payload.readUInt32LE(0), errno: payload.readInt32LE(4), answer: payload.subarray(8) };
}

/** One launcher's connection, as the daemon sees it. */
export class Conversation {
  readonly fd: number;
  /** The descriptors that came along so far. */
  readonly descriptors: number[] = [];
  #bytes = Buffer.alloc(0);
  #open = true;

  constructor(fd: number) {
    this.fd = fd;
  }

  /** Begins: false when the launcher has given the request up. */
  claim(): boolean {
    try {
      return readSync(this.descriptors[0] ?? -1, Buffer.alloc(8)) === 8;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return false;
      throw error;
    }
  }

  /** The next frame, or undefined when the launcher has closed the connection. */
  async next(): Promise<Frame | undefined> {
    const buffer = Buffer.alloc(1 << 20);
    while (this.#bytes.length < 8 || this.#bytes.length < 8 + this.#bytes.readUInt32LE(4)) {
      const received = binding.receiveDescriptors(this.fd, buffer);
      if (received === EAGAIN) {
        await readable(this.fd);
        continue;
      }
      if (typeof received === 'number' || received.length === 0) return undefined;
      this.descriptors.push(...received.descriptors);
      this.#bytes = Buffer.concat([this.#bytes, buffer.subarray(0, received.length)]);
    }
    const end = 8 + this.#bytes.readUInt32LE(4);
    const frame = { type: this.#bytes.readUInt32LE(0), payload: Buffer.from(this.#bytes.subarray(8, end)) };
    this.#bytes = this.#bytes.subarray(end);
    return frame;
  }

  /** Sends a frame; `length` is told instead of the payload's own, to lie. */
  async send(type: number, payload: Uint8Array = Buffer.alloc(0), length = payload.length): Promise<void> {
    let rest = Buffer.concat([u32(type, length), payload]);
    while (rest.length > 0) {
      const sent = binding.send(this.fd, rest);
      if (sent < 0 && sent !== EAGAIN) throw new Error(`send to the launcher: errno ${-sent}`);
      if (sent > 0) rest = rest.subarray(sent);
      else await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Hands out work without a reply, and waits until it is done. */
  async handOut(script: Uint8Array = Buffer.alloc(0)): Promise<Done | undefined> {
    await this.send(WORK, work(script));
    return doneOf(await this.next());
  }

  /** The process at the other end. */
  get pid(): number {
    const credentials = binding.peerCredentials(this.fd);
    if (typeof credentials === 'number') throw new Error(`the launcher's credentials: errno ${-credentials}`);
    return credentials[0];
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const fd of [this.fd, ...this.descriptors]) binding.close(fd);
  }
}

async function readable(fd: number): Promise<void> {
  await new Promise<void>((resolve) => {
    binding.watch(fd, () => {
      binding.unwatch(fd);
      resolve();
    });
  });
}

/** A flanneld that does what a test tells it: `talk` is called with each connection, which is closed after it. */
export class FakeDaemon {
  readonly #fd: number;

  constructor(path: string, talk: (conversation: Conversation) => Promise<void>) {
    this.#fd = binding.listenUnix(path, 0o600);
    if (this.#fd < 0) throw new Error(`${path}: listen: errno ${-this.#fd}`);
    binding.watch(this.#fd, () => {
      const conversation = new Conversation(binding.acceptUnix(this.#fd));
      void talk(conversation).finally(() => conversation.close());
    });
  }

  close(): void {
    binding.close(this.#fd);
  }
}
