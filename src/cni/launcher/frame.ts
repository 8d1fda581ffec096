/** What travels between launcher and daemon; docs/launcher-protocol.md. Types from 32 on are cni-tool's. */
export const frameTypes = {
  REQUEST: 1,
  REPLY: 2,
  NOT_MINE: 3,
  WORK: 4,
  DONE: 5,
  AHEAD: 6,
} as const;
export const firstToolFrame = 32;

/** Payloads are no longer than this, in bytes. */
export const maxPayload = 16 * 1024 * 1024;
const headerSize = 8;

export interface Frame {
  type: number;
  payload: Buffer;
}

/** `payload` in pieces that others have made. */
export function encodeFrame(type: number, ...payload: readonly Uint8Array[]): Buffer {
  const length = payload.reduce((sum, piece) => sum + piece.length, 0);
  const frame = Buffer.allocUnsafe(headerSize + length);
  frame.writeUInt32LE(type, 0);
  frame.writeUInt32LE(length, 4);
  let at = headerSize;
  for (const piece of payload) {
    frame.set(piece, at);
    at += piece.length;
  }
  return frame;
}

/** Puts frames together out of what a stream brings. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #length = 0;

  /** The frames that are complete now. Throws a RangeError when one claims to be longer than {@link maxPayload}. */
  push(bytes: Uint8Array): Frame[] {
    this.#chunks.push(Buffer.from(bytes));
    this.#length += bytes.length;
    const frames: Frame[] = [];
    for (;;) {
      const needed = headerSize + this.#payloadLength();
      if (this.#length < needed) return frames;
      const whole = this.#join();
      frames.push({ type: whole.readUInt32LE(0), payload: whole.subarray(headerSize, needed) });
      this.#chunks = [whole.subarray(needed)];
      this.#length -= needed;
    }
  }

  /** 0 while the header itself is not complete. */
  #payloadLength(): number {
    if (this.#length < headerSize) return 0;
    let first = this.#chunks[0];
    if (first === undefined || first.length < headerSize) first = this.#join();
    const length = first.readUInt32LE(4);
    if (length > maxPayload) throw new RangeError(`a frame of ${length} bytes; ${maxPayload} are allowed`);
    return length;
  }

  #join(): Buffer {
    const whole = this.#chunks.length === 1 ? this.#chunks[0] : undefined;
    if (whole !== undefined) return whole;
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }
}

/** What a launcher asks for. */
export interface LauncherRequest {
  environment: Record<string, string>;
  stdin: Buffer;
}

/** Undefined when the payload is not `KEY=VALUE\0` ... `\0` and the rest. */
export function decodeRequest(payload: Buffer): LauncherRequest | undefined {
  const isBare = payload[0] === 0;
  const end = isBare ? 0 : payload.indexOf('\0\0') + 1;
  if (end === 0 && !isBare) return undefined;
  const environment: Record<string, string> = {};
  for (const line of payload.toString('utf8', 0, end).split('\0').slice(0, -1)) {
    const equals = line.indexOf('=');
    if (equals <= 0) return undefined;
    environment[line.slice(0, equals)] = line.slice(equals + 1);
  }
  return { environment, stdin: payload.subarray(end + 1) };
}

/** How a run of the plugin ends. */
export interface Reply {
  status: number;
  stdout: string;
  stderr: string;
}

export const success = (stdout: string): Reply => ({ status: 0, stdout, stderr: '' });

/** In pieces. */
export function encodeReply({ status, stdout, stderr }: Reply): Uint8Array[] {
  const output = Buffer.from(stdout);
  const head = Buffer.allocUnsafe(8);
  head.writeUInt32LE(status, 0);
  head.writeUInt32LE(output.length, 4);
  return [head, output, Buffer.from(stderr)];
}

/** What the daemon has planned and the launcher does: a script, and what is printed when all went well (undefined: nothing yet). */
export function encodeWork(script: Uint8Array, reply: Reply | undefined): Uint8Array[] {
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32LE(script.length);
  return [length, script, ...(reply === undefined ? [] : encodeReply(reply))];
}

/** A script that is done at once, and told of with the next WORK. `cpu`: where the daemon is, and stays; negative: unknown. */
export function encodeAhead(script: Uint8Array, cpu: number): Uint8Array[] {
  const head = Buffer.allocUnsafe(4);
  head.writeInt32LE(cpu);
  return [head, script];
}

/** How it went. */
export interface Done {
  /** How many lines of the script are done. */
  count: number;
  /** Why the next one is not: positive, 0 when all are done. */
  errno: number;
  /** What the kernel answered to it; when all are done, a byte if the sysctl that was to be exchanged was. */
  answer: Buffer;
}

/** Undefined for what is no payload of DONE. */
export function decodeDone(payload: Buffer): Done | undefined {
  if (payload.length < 8) return undefined;
  return { count: payload.readUInt32LE(0), errno: payload.readInt32LE(4), answer: payload.subarray(8) };
}
