import { AttributeTable, type AttributesOf, type Fields, type TableOptions } from './attributes.ts';
import { CodecError, within } from './codec-error.ts';
import { type Shape, viewOf } from './payload.ts';
import type { Struct } from './struct.ts';
import { align, Writer } from './writer.ts';

/** sizeof(struct nlmsghdr). */
export const headerSize = 16;

/**
 * One kind of message: a family's header struct and its attributes, in one flat object. `Read` has all
 * header fields; in `Write` those left out are zero.
 */
export interface MessageCodec<Read, Write> {
  /** Reads what follows nlmsghdr. Throws a CodecError, and nothing else. */
  decode(view: DataView, start: number, end: number): Read;
  encode(writer: Writer, value: Write): void;
  /** The names of the attribute at `target`, or [] when that is the header. */
  pathAt(view: DataView, start: number, end: number, target: number): string[];
  nameOf(attributeType: number): string;
  readonly shape: Shape;
}

export type ReadOf<C> = C extends MessageCodec<infer R, unknown> ? R : never;
export type WriteOf<C> = C extends MessageCodec<unknown, infer W> ? W : never;

export function messageCodec<H, F extends Fields>(
  header: Struct<H>,
  fields: F,
  options: TableOptions = {},
): MessageCodec<H & AttributesOf<F>, Partial<H> & AttributesOf<F>> {
  const table = new AttributeTable(fields, options);
  const names = new Set(header.names);
  const size = align(header.size);
  return {
    shape: { kind: 'nested', fields, header: header.shape, headerSize: size },
    decode(view, start, end) {
      const value = header.decode(view, start, end) as Record<string, unknown>;
      table.decode(view, Math.min(start + size, end), end, value);
      return value as H & AttributesOf<F>;
    },
    encode(writer, value) {
      header.encode(writer, value);
      writer.reserve(size - header.size);
      table.encode(writer, value, names);
    },
    pathAt: (view, start, end, target) =>
      target < start + size ? [] : table.pathAt(view, start + size, end, target),
    nameOf: (type) => table.nameOf(type),
  };
}

/** A message to the kernel, and how to read what comes back. Sessions add the header. */
export interface Request<Read = unknown> {
  /** `RTM_NEWROUTE`: what errors call it. */
  readonly name: string;
  readonly type: number;
  /** NLM_F_* besides those that the session sets (REQUEST, ACK, DUMP). */
  readonly flags: number;
  /** What follows nlmsghdr. */
  readonly body: Uint8Array;
  readonly codec: Pick<MessageCodec<Read, never>, 'decode' | 'pathAt' | 'nameOf'>;
}

/** A message from the kernel. */
export interface Message<T> {
  readonly type: number;
  readonly flags: number;
  readonly seq: number;
  readonly value: T;
}

const scratch = new Writer(4096);

/** Throws a CodecError that starts with `name` when `value` does not fit its table. */
export function request<Read, Write>(
  name: string,
  type: number,
  codec: MessageCodec<Read, Write>,
  value: Write,
  flags = 0,
): Request<Read> {
  return { name, type, flags, body: encodeBody(name, codec, value), codec };
}

function encodeBody<Write>(name: string, codec: MessageCodec<unknown, Write>, value: Write): Uint8Array {
  scratch.clear();
  try {
    codec.encode(scratch, value);
  } catch (error) {
    throw within(name, error);
  }
  return scratch.written.slice();
}

/** Writes nlmsghdr and body. The kernel fills in the port itself. */
export function writeMessage(writer: Writer, request: Request, flags: number, seq: number): void {
  const start = writer.reserve(headerSize);
  writer.view.setUint32(start, headerSize + request.body.length, true);
  writer.view.setUint16(start + 4, request.type, true);
  writer.view.setUint16(start + 6, flags, true);
  writer.view.setUint32(start + 8, seq, true);
  writer.raw(request.body);
  writer.reserve(align(request.body.length) - request.body.length);
}

/** One message inside a datagram: the header's fields and where its payload stands. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly seq: number;
  readonly view: DataView;
  readonly start: number;
  readonly end: number;
}

/** The messages of a datagram. Throws a CodecError where one is cut off. */
export function* frames(datagram: Uint8Array): Generator<Frame, void> {
  const view = viewOf(datagram);
  let offset = 0;
  while (offset < datagram.length) {
    const left = datagram.length - offset;
    const length = left < headerSize ? 0 : view.getUint32(offset, true);
    if (length < headerSize || length > left) {
      throw new CodecError(`a message of ${length} bytes where ${left} are left`);
    }
    yield {
      type: view.getUint16(offset + 4, true),
      flags: view.getUint16(offset + 6, true),
      seq: view.getUint32(offset + 8, true),
      view,
      start: offset + headerSize,
      end: offset + length,
    };
    offset += align(length);
  }
}
