import { CodecError, within } from './codec-error.ts';
import { NLA_TYPE_MASK } from './constants.ts';
import { copyBytes, type Payload, type ValueOf } from './payload.ts';
import type { Writer } from './writer.ts';
import { align } from './writer.ts';

/** An attribute that has no entry in its table. `type` is as on the wire, flags included. */
export interface UnknownAttribute {
  type: number;
  bytes: Uint8Array;
}

/**
 * The payload depends on the value of another attribute or header field, as IFLA_INFO_DATA on
 * IFLA_INFO_KIND; without an answer the attribute counts as unknown. The kernel and everybody else write
 * the deciding attribute first.
 */
export interface Choice<T> {
  choose(siblings: Readonly<Record<string, unknown>>): Payload<unknown> | undefined;
  /** Every answer, for tests. */
  readonly choices: Readonly<Record<string, Payload<unknown>>>;
  readonly sibling: string;
  /** Never there: carries the type. */
  readonly value?: T;
}

/** An attribute that stands once for every item, as IFLA_BRIDGE_VLAN_INFO. The value is the list. */
export interface Repeated<T> {
  readonly each: Payload<T>;
}

export type Field = Payload<unknown> | Choice<unknown> | Repeated<unknown>;

/** A table: the kernel's name -> [the kernel's number, what it holds]. */
export type Fields = Readonly<Record<string, readonly [type: number, field: Field]>>;

type FieldValue<P> = P extends Choice<infer T> ? T : P extends Repeated<infer T> ? T[] : ValueOf<P>;

/** The object that a table reads and writes: every attribute optional, in the order of the wire. */
export type AttributesOf<F extends Fields> = { [K in keyof F]?: FieldValue<F[K][1]> | undefined } & {
  unknown?: UnknownAttribute[] | undefined;
};

/**
 * Chooses by the value of `sibling`, an attribute's or a header field's; `otherwise` for all other values.
 * `T` is the type of what may stand there.
 */
export function chosen<T>(
  sibling: string,
  choices: Readonly<Record<string, Payload<unknown>>>,
  otherwise?: Payload<unknown>,
): Choice<T> {
  const byValue = new Map<string, Payload<unknown>>(Object.entries(choices));
  return {
    sibling,
    choices,
    choose: (siblings) => byValue.get(String(siblings[sibling])) ?? otherwise,
  };
}

export const repeated = <T>(each: Payload<T>): Repeated<T> => ({ each });

interface Entry {
  name: string;
  type: number;
  field: Field;
}

type Attributes = Record<string, unknown> & { unknown?: UnknownAttribute[] | undefined };

export interface TableOptions {
  readonly keepsUnknown?: boolean;
}

/** Reads and writes a run of attributes after a table. */
export class AttributeTable {
  readonly #byType: (Entry | undefined)[] = [];
  readonly #byName = new Map<string, Entry>();

  readonly #keepsUnknown: boolean;

  /** Unknown attributes are kept for whoever writes the message again; a reader that only looks may pass over them. */
  constructor(fields: Fields, { keepsUnknown = true }: TableOptions = {}) {
    this.#keepsUnknown = keepsUnknown;
    for (const [name, [type, field]] of Object.entries(fields)) {
      const entry = { name, type, field };
      this.#byType[type] = entry;
      this.#byName.set(name, entry);
    }
  }

  /** Adds to `into` what stands from `start` to `end`. */
  decode(view: DataView, start: number, end: number, into: Attributes): void {
    let offset = start;
    while (end - offset >= 4) {
      const length = view.getUint16(offset, true);
      if (length < 4 || length > end - offset) {
        throw new CodecError(`an attribute of ${length} bytes where ${end - offset} are left`);
      }
      const type = view.getUint16(offset + 2, true);
      if (this.#keepsUnknown || this.#byType[type & NLA_TYPE_MASK] !== undefined) {
        this.#decodeOne(view, offset + 4, offset + length, type, into);
      }
      offset += align(length);
    }
    if (offset < end) throw new CodecError(`${end - offset} bytes left over behind the last attribute`);
  }

  #decodeOne(view: DataView, start: number, end: number, type: number, into: Attributes): void {
    const entry = this.#byType[type & NLA_TYPE_MASK];
    const payload = entry === undefined ? undefined : resolve(entry.field, into);
    if (entry === undefined || payload === undefined) {
      if (this.#keepsUnknown) (into.unknown ??= []).push({ type, bytes: copyBytes(view, start, end) });
      return;
    }
    try {
      const value = payload.decode(view, start, end);
      if ('each' in entry.field) ((into[entry.name] ??= []) as unknown[]).push(value);
      else into[entry.name] = value;
    } catch (error) {
      throw within(entry.name, error);
    }
  }

  /** Writes every attribute of `value`, in its order; `skip` are the names of the header's fields. */
  encode(writer: Writer, value: Attributes, skip: ReadonlySet<string>): void {
    for (const name in value) {
      const attribute = value[name];
      if (name === 'unknown' || attribute === undefined || skip.has(name)) continue;
      try {
        this.#encodeOne(writer, name, attribute, value);
      } catch (error) {
        throw within(name, error);
      }
    }
    for (const { type, bytes } of value.unknown ?? []) {
      const start = writer.startAttribute(type);
      writer.raw(bytes);
      writer.endAttribute(start);
    }
  }

  #encodeOne(writer: Writer, name: string, value: unknown, siblings: Attributes): void {
    const entry = this.#byName.get(name);
    if (entry === undefined) throw new CodecError('no such attribute in this table');
    const payload = resolve(entry.field, siblings);
    if (payload === undefined) throw new CodecError('nothing known to hold here; use "unknown" for bytes');
    if (value === false && payload.shape.kind === 'flag') return;
    const type = entry.type | (payload.typeFlags ?? 0);
    if (!('each' in entry.field)) return encodeAs(writer, type, payload, value);
    for (const item of value as unknown[]) encodeAs(writer, type, payload, item);
  }

  /** The names that lead to the attribute which starts at `target`, for an error's NLMSGERR_ATTR_OFFS. */
  pathAt(view: DataView, start: number, end: number, target: number): string[] {
    const seen: Attributes = {};
    for (let offset = start; end - offset >= 4; ) {
      const length = Math.max(4, view.getUint16(offset, true));
      const stop = Math.min(offset + length, end);
      const type = view.getUint16(offset + 2, true);
      const entry = this.#byType[type & NLA_TYPE_MASK];
      const payload = entry === undefined ? undefined : resolve(entry.field, seen);
      const name = entry?.name ?? `attribute ${type & NLA_TYPE_MASK}`;
      if (target >= offset && target < stop) {
        const inner = payload?.shape.kind === 'nested' ? payload.shape : undefined;
        if (inner === undefined || target < offset + 4) return [name];
        const table = new AttributeTable(inner.fields);
        return [name, ...table.pathAt(view, offset + 4 + inner.headerSize, stop, target)];
      }
      if (entry !== undefined && payload !== undefined) seen[name] = payload.decode(view, offset + 4, stop);
      offset += align(length);
    }
    return [];
  }

  /** The name of an attribute type of this table, for an error's NLMSGERR_ATTR_MISS_TYPE. */
  nameOf(type: number): string {
    return this.#byType[type & NLA_TYPE_MASK]?.name ?? `attribute ${type & NLA_TYPE_MASK}`;
  }
}

function encodeAs(writer: Writer, type: number, payload: Payload<unknown>, value: unknown): void {
  const start = writer.startAttribute(type);
  payload.encode(writer, value);
  writer.endAttribute(start);
}

function resolve(field: Field, siblings: Readonly<Record<string, unknown>>): Payload<unknown> | undefined {
  if ('choose' in field) return field.choose(siblings);
  return 'each' in field ? field.each : field;
}
