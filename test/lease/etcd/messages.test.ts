import { describe, expect, test } from 'vitest';
import { JsonError } from '../../../src/json/go-json.ts';
import {
  encodeBytes,
  parseEtcdLease,
  parsePage,
  parseTransaction,
  parseWatchMessage,
} from '../../../src/lease/etcd/messages.ts';

// As etcd 3.4.23 sent them.
const header = {
  cluster_id: '10144879847569953045',
  member_id: '12428976124636271536',
  revision: '3',
  raft_term: '2',
};
const kv = {
  key: 'L2EveA==',
  create_revision: '2',
  mod_revision: '3',
  version: '1',
  value: 'MQ==',
  lease: '77',
};
const parsed = {
  key: '/a/x',
  value: Buffer.from('1'),
  createRevision: 2n,
  modRevision: 3n,
  leaseId: '77',
};

describe('messages', () => {
  test('a page of keys', () => {
    expect(parsePage({ header, kvs: [kv], more: true, count: '2' })).toEqual({
      kvs: [parsed],
      revision: 3n,
      more: true,
    });
    expect(parsePage({ header })).toEqual({ kvs: [], revision: 3n, more: false });
  });

  test('a transaction that was done, and one that was not', () => {
    expect(parseTransaction({ header, succeeded: true })).toEqual({ succeeded: true, revision: 3n });
    expect(parseTransaction({ header })).toEqual({ succeeded: false, revision: 3n });
  });

  test('a lease, and one that is gone', () => {
    expect(parseEtcdLease({ header, ID: '1418812137318281734', TTL: '86400' })).toEqual({
      id: '1418812137318281734',
      seconds: 86_400,
    });
    expect(parseEtcdLease({ header, ID: '1234' })).toEqual({ id: '1234', seconds: 0 });
  });

  test('what a watch says', () => {
    expect(parseWatchMessage({ header, created: true })).toEqual({ is: 'created', revision: 3n });
    expect(parseWatchMessage({ header })).toEqual({ is: 'events', revision: 3n, events: [] });
    const gone = { type: 'DELETE', kv: { key: 'L2EveA==', mod_revision: '2' } };
    expect(parseWatchMessage({ header: { revision: '9' }, events: [gone, { kv }] })).toEqual({
      is: 'events',
      // Not 9: there may be more to come.
      revision: 3n,
      events: [
        { revision: 2n, deleted: '/a/x' },
        { revision: 3n, put: parsed },
      ],
    });
    expect(parseWatchMessage({ header, canceled: true, compact_revision: '3' })).toMatchObject({
      is: 'canceled',
      compacted: true,
    });
    expect(parseWatchMessage({ header, canceled: true, created: true, cancel_reason: 'denied' })).toEqual({
      is: 'canceled',
      compacted: false,
      why: 'denied',
    });
  });

  test('keys are bytes', () => {
    expect(encodeBytes('\u0000\u00ff')).toBe('AP8=');
    expect(parsePage({ header, kvs: [{ key: 'AP8=' }] }).kvs[0]?.key).toBe('\u0000\u00ff');
  });

  test.each([
    {},
    { header: { revision: 3 } },
    { header: { revision: 'x' } },
    { header, kvs: {} },
    { header, kvs: [7] },
    { header, kvs: [{ key: 7 }] },
  ])('%j is none', (answer) => {
    expect(() => parsePage(answer)).toThrow(JsonError);
  });
});
