import { readSync } from 'node:fs';
import { loadBinding } from '../../native/binding.ts';

/** The frames of docs/launcher-protocol.md. */
export const REQUEST = 1;
export const REPLY = 2;
export const NOT_MINE = 3;
export const WORK = 4;
export const DONE = 5;

export interface Frame {
  readonly type: number;
  readonly payload: Buffer;
}

const binding = loadBinding();
const EAGAIN = -11;

function u32(...numbers: number[]): Buffer {
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

/** Lines of a script that write sysctls: rows of place ('p' pod, 'h' host), path and value. */
export function sysctls(
  entries: readonly [place: string, path: string, value: string][],
  { required = false } = {},
): Buffer {
  const flag = required ? '\x01' : '\0';
  return Buffer.from(
    entries.map(([place, path, value]) => `s${place}${flag}${path}\0${value}\0`).join(''),
    'latin1',
  );
}

/** A line of a script that looks for a link. */
export const link = (place: string, name: string): Buffer => Buffer.from(`l${place}${name}\0`);

/** A line of a script that sends a message. */
export function message(place: string, bytes: Uint8Array, tolerated = 0, index = 0): Buffer {
  return Buffer.concat([Buffer.from(`m${place}`), u32(tolerated, index, bytes.length), bytes]);
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

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const fd of [this.fd, ...this.descriptors]) binding.close(fd);
  }
}

async function readable(fd: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const end = binding.watch(fd, () => {
      end();
      resolve();
    });
  });
}

/** A flanneld that does what a test tells it: `talk` is called with each connection, which is closed after it. */
export class FakeDaemon {
  readonly #fd: number;
  readonly #end: () => void;

  constructor(path: string, talk: (conversation: Conversation) => Promise<void>) {
    this.#fd = binding.listenUnix(path, 0o600);
    if (this.#fd < 0) throw new Error(`${path}: listen: errno ${-this.#fd}`);
    this.#end = binding.watch(this.#fd, () => {
      const conversation = new Conversation(binding.acceptUnix(this.#fd));
      void talk(conversation).finally(() => conversation.close());
    });
  }

  close(): void {
    this.#end();
    binding.close(this.#fd);
  }
}
