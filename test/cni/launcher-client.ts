import { openSync, readSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Binding } from '../../native/binding.ts';
import { encodeFrame, type Frame, FrameReader, frameTypes } from '../../src/cni/launcher/frame.ts';

/** The launcher's side of a conversation, frame by frame. */
export class LauncherClient {
  readonly #binding: Binding;
  readonly #fd: number;
  readonly #claim: number;
  readonly #reader = new FrameReader();
  readonly #frames: Frame[] = [];
  readonly #buffer = new Uint8Array(64 * 1024);
  #ended = false;
  #closed = false;

  constructor(binding: Binding, socket: string) {
    this.#binding = binding;
    this.#fd = binding.connectUnix(socket);
    if (this.#fd < 0) throw new Error(`connect: ${this.#fd}`);
    const file = path.join(path.dirname(socket), 'claim');
    writeFileSync(file, Buffer.alloc(8));
    this.#claim = openSync(file, 'r');
  }

  send(type: number, payload: string | Uint8Array = '', descriptors: readonly number[] = []): void {
    this.#binding.sendDescriptors(this.#fd, encodeFrame(type, Buffer.from(payload)), descriptors);
  }

  /** The claim is a file of eight bytes here, whose position daemon and launcher share: what one has read the other cannot. */
  request(environment: Record<string, string>, stdin = '', descriptors: readonly number[] = []): void {
    const variables = Object.entries(environment).map(([key, value]) => `${key}=${value}\0`);
    this.send(frameTypes.REQUEST, `${variables.join('')}\0${stdin}`, [this.#claim, ...descriptors]);
  }

  /** Gives the request up: false when the daemon has begun. */
  takeBack(): boolean {
    return readSync(this.#claim, Buffer.alloc(8)) === 8;
  }

  /** The next frame; undefined when the connection was closed. Gives up after two seconds. */
  async receive(): Promise<Frame | undefined> {
    for (let i = 0; i < 2000; i++) {
      const frame = this.#frames.shift();
      if (frame !== undefined) return frame;
      if (this.#ended) return undefined;
      this.#read();
      await sleep(1);
    }
    throw new Error('no frame came');
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#binding.close(this.#fd);
    this.#binding.close(this.#claim);
  }

  #read(): void {
    const received = this.#binding.receiveDescriptors(this.#fd, this.#buffer);
    if (typeof received === 'number') return;
    if (received.length === 0) this.#ended = true;
    else this.#frames.push(...this.#reader.push(this.#buffer.subarray(0, received.length)));
  }
}
