import { asObject, JsonError, type JsonObject, kindOf } from '../../json/go-json.ts';

/** A key with what it holds. Keys are strings of bytes: one character, one byte. */
export interface KeyValue {
  readonly key: string;
  readonly value: Uint8Array;
  /** The revision of the whole store in which the key came into being, and in which it changed last. */
  readonly createRevision: bigint;
  readonly modRevision: bigint;
  /** The etcd lease with which the key ends; `0`: it stays for ever. */
  readonly leaseId: string;
}

export interface Page {
  readonly kvs: readonly KeyValue[];
  readonly revision: bigint;
  readonly more: boolean;
}

/** What a watch says. */
export type WatchMessage =
  | { readonly is: 'created'; readonly revision: bigint }
  /** It ends. `compacted`: what it asked for is not known any more. */
  | { readonly is: 'canceled'; readonly compacted: boolean; readonly why: string }
  /** All up to `revision` has been told with it. Without events: nothing has happened until then. */
  | { readonly is: 'events'; readonly revision: bigint; readonly events: readonly WatchEvent[] };

export type WatchEvent = { readonly revision: bigint } & (
  | { readonly put: KeyValue }
  | { readonly deleted: string }
);

/** bytes as protobuf's JSON has them. */
export const encodeBytes = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('base64');

/** etcdserverpb.RangeResponse. Like all here it throws a {@link JsonError} for what is none. */
export function parsePage(answer: JsonObject): Page {
  return {
    kvs: listOf(answer['kvs'], 'kvs').map(keyValueOf),
    revision: revisionOf(answer),
    more: answer['more'] === true,
  };
}

/** etcdserverpb.TxnResponse: whether the comparisons held, and in which revision. */
export function parseTransaction(answer: JsonObject): { succeeded: boolean; revision: bigint } {
  return { succeeded: answer['succeeded'] === true, revision: revisionOf(answer) };
}

/** etcdserverpb.LeaseGrantResponse and LeaseKeepAliveResponse. `seconds` is 0 for a lease that is not there (any more). */
export function parseEtcdLease(answer: JsonObject): { id: string; seconds: number } {
  return { id: integer(answer['ID'], 'ID').toString(), seconds: Number(integer(answer['TTL'], 'TTL')) };
}

/** etcdserverpb.WatchResponse. */
export function parseWatchMessage(answer: JsonObject): WatchMessage {
  if (answer['canceled'] === true) {
    const compacted = integer(answer['compact_revision'], 'compact_revision') > 0n;
    const why = answer['cancel_reason'];
    return { is: 'canceled', compacted, why: typeof why === 'string' ? why : 'it says no reason' };
  }
  const revision = revisionOf(answer);
  if (answer['created'] === true) return { is: 'created', revision };
  const events = listOf(answer['events'], 'events').map(eventOf);
  // The header's revision may be ahead of the events: more of them follow then.
  return { is: 'events', revision: events.at(-1)?.revision ?? revision, events };
}

function eventOf(value: unknown): WatchEvent {
  const { type, kv } = asObject(value, 'an event');
  const stored = keyValueOf(kv);
  const { key, modRevision: revision } = stored;
  return type === 'DELETE' ? { revision, deleted: key } : { revision, put: stored };
}

function keyValueOf(value: unknown): KeyValue {
  const kv = asObject(value, 'a key');
  return {
    key: bytesOf(kv['key'], 'key').toString('latin1'),
    value: bytesOf(kv['value'], 'value'),
    createRevision: integer(kv['create_revision'], 'create_revision'),
    modRevision: integer(kv['mod_revision'], 'mod_revision'),
    leaseId: integer(kv['lease'], 'lease').toString(),
  };
}

const revisionOf = (answer: JsonObject): bigint =>
  integer(asObject(answer['header'], 'header')['revision'], 'revision');

/** An int64: JSON has it as a string, and leaves out a zero. */
function integer(value: unknown, what: string): bigint {
  if (value === undefined) return 0n;
  if (typeof value === 'string' && /^-?[0-9]{1,20}$/.test(value)) return BigInt(value);
  throw new JsonError(`${what} must be a whole number in quotes, and is ${kindOf(value)}`);
}

function bytesOf(value: unknown, what: string): Buffer {
  if (value === undefined) return Buffer.alloc(0);
  if (typeof value === 'string') return Buffer.from(value, 'base64');
  throw new JsonError(`${what} must be a string, and is ${kindOf(value)}`);
}

function listOf(value: unknown, what: string): unknown[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value;
  throw new JsonError(`${what} must be an array, and is ${kindOf(value)}`);
}
