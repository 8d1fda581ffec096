import { describe, expect, test } from 'vitest';
import { KeySpace } from '../../../src/lease/etcd/key-space.ts';

describe('keys', () => {
  test.each(['/coreos.com/network', 'coreos.com/network', '/coreos.com/network/'])('below %s', (prefix) => {
    const keys = new KeySpace(prefix);
    expect(keys.config).toEqual({ key: '/coreos.com/network/config' });
    expect(keys.leases).toEqual({
      key: '/coreos.com/network/subnets/',
      rangeEnd: '/coreos.com/network/subnets0',
    });
    expect(keys.keyOf('10.5.1.0-24')).toBe('/coreos.com/network/subnets/10.5.1.0-24');
    expect(keys.idOf('/coreos.com/network/subnets/10.5.1.0-24')).toBe('10.5.1.0-24');
  });

  test('what is no subnet gets a name that can be printed', () => {
    const keys = new KeySpace('/n');
    const odd = keys.idOf(`${keys.leases.key}a\n\u001b[2J\u00e9`);
    expect(odd).toBe('"a\\n\\u001b[2J?"');
    expect(keys.idOf(keys.leases.key + 'x'.repeat(100_000)).length).toBeLessThan(120);
    const kv = { value: Buffer.from('{}'), leaseId: '0', createRevision: 1n, modRevision: 1n };
    expect(keys.leaseOf({ ...kv, key: `${keys.leases.key}hello` })).toMatchObject({
      id: '"hello"',
      entry: { unreadable: 'its key names no subnet, as "10.5.1.0-24" does' },
    });
  });
});
