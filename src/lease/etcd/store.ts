import { JsonError, type JsonObject } from '../../json/go-json.ts';
import { EtcdError } from './etcd-error.ts';
import type { EtcdGateway } from './gateway.ts';
import type { KeyRange } from './key-space.ts';
import {
  encodeBytes,
  type KeyValue,
  parseEtcdLease,
  parsePage,
  parseTransaction,
  parseWatchMessage,
  type WatchMessage,
} from './messages.ts';

/** How many keys are asked for at once. */
const firstPageLength = 1000;

/** A range of keys as it was in one revision. */
export interface Listing {
  readonly kvs: readonly KeyValue[];
  readonly revision: bigint;
}

/** What must hold for a transaction to be done. */
export type Comparison =
  /** The key has not changed since. */
  | { readonly key: string; readonly modRevision: bigint }
  /** None of the keys in the range is newer. */
  | { readonly range: Required<KeyRange>; readonly createdBy: bigint };

export type Change =
  | { readonly put: string; readonly value: string; readonly leaseId: string }
  | { readonly delete: string };

/** The part of etcd's API that leases need, typed. All of it rejects with an {@link EtcdError}. */
export class EtcdStore {
  readonly gateway: EtcdGateway;

  constructor(gateway: EtcdGateway) {
    this.gateway = gateway;
  }

  /** All keys of a range as they were in one revision. Asked for in pages; in smaller ones where values are very long. */
  async list(range: KeyRange): Promise<Listing> {
    const kvs: KeyValue[] = [];
    let revision: bigint | undefined;
    let limit = firstPageLength;
    for (let from = range.key; ; ) {
      const question = {
        ...rangeOf({ ...range, key: from }),
        limit,
        ...(revision && { revision: `${revision}` }),
      };
      const page = await this.#call('/v3/kv/range', question, parsePage).catch((error: unknown) => {
        if (error instanceof EtcdError && error.meaning === 'too long' && limit > 1) return undefined;
        throw error;
      });
      if (page === undefined) {
        limit = Math.ceil(limit / 4);
        continue;
      }
      revision ??= page.revision;
      kvs.push(...page.kvs);
      const last = page.kvs.at(-1);
      if (!page.more || last === undefined) return { kvs, revision };
      from = `${last.key}\0`;
    }
  }

  /** Resolves when the members of etcd agree on what is there. */
  async answers(key: string): Promise<void> {
    await this.gateway.call('/v3/kv/range', { key: encodeBytes(key), keys_only: true });
  }

  /** Does the changes if all comparisons hold. Undefined when one does not, else the revision that they make. */
  async transact(
    comparisons: readonly Comparison[],
    changes: readonly Change[],
  ): Promise<bigint | undefined> {
    const question = { compare: comparisons.map(compareOf), success: changes.map(requestOf) };
    const { succeeded, revision } = await this.#call('/v3/kv/txn', question, parseTransaction);
    return succeeded ? revision : undefined;
  }

  /** A lease of this many seconds: its id. */
  async grant(seconds: number): Promise<string> {
    return (await this.#call('/v3/lease/grant', { TTL: `${seconds}` }, parseEtcdLease)).id;
  }

  /** The lease begins anew: how many seconds it has; 0 when there is none. */
  async keepAlive(id: string): Promise<number> {
    const stop = new AbortController();
    for await (const part of this.gateway.stream('/v3/lease/keepalive', { ID: id }, stop.signal)) {
      return this.#parsed(() => parseEtcdLease(part)).seconds;
    }
    throw new EtcdError(`${this.gateway.name} does not say whether the lease was renewed`, 'elsewhere');
  }

  /** Ends a lease, and every key that hangs on it. */
  async revoke(id: string): Promise<void> {
    await this.gateway.call('/v3/lease/revoke', { ID: id });
  }

  /** What happens in a range from a revision on, until `signal` aborts. */
  async *watch(range: KeyRange, from: bigint, signal: AbortSignal): AsyncGenerator<WatchMessage> {
    const question = {
      create_request: { ...rangeOf(range), start_revision: `${from}`, progress_notify: true },
    };
    for await (const part of this.gateway.stream('/v3/watch', question, signal)) {
      yield this.#parsed(() => parseWatchMessage(part));
    }
  }

  async #call<T>(path: string, question: JsonObject, parse: (answer: JsonObject) => T): Promise<T> {
    const answer = await this.gateway.call(path, question);
    return this.#parsed(() => parse(answer));
  }

  #parsed<T>(parse: () => T): T {
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      throw new EtcdError(
        `${this.gateway.name} does not answer as etcd does: ${error.message}`,
        'refused',
        error,
      );
    }
  }
}

const rangeOf = ({ key, rangeEnd }: KeyRange) => ({
  key: encodeBytes(key),
  ...(rangeEnd !== undefined && { range_end: encodeBytes(rangeEnd) }),
});

function compareOf(comparison: Comparison): JsonObject {
  if ('key' in comparison) {
    const { key, modRevision } = comparison;
    return { key: encodeBytes(key), target: 'MOD', result: 'EQUAL', mod_revision: `${modRevision}` };
  }
  const { range, createdBy } = comparison;
  return { ...rangeOf(range), target: 'CREATE', result: 'LESS', create_revision: `${createdBy + 1n}` };
}

function requestOf(change: Change): JsonObject {
  if ('delete' in change) return { request_delete_range: { key: encodeBytes(change.delete) } };
  const { put, value, leaseId } = change;
  return {
    request_put: {
      key: encodeBytes(put),
      value: Buffer.from(value).toString('base64'),
      lease: leaseId,
    },
  };
}
