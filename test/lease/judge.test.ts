import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LeaseBook } from '../../src/lease/judge.ts';
import type { Lease } from '../../src/lease/lease.ts';
import type { Entry } from '../../src/lease/registry.ts';
import { address } from '../../src/net/address.ts';
import { overlaps, prefix } from '../../src/net/prefix.ts';

const network = { ipv4: prefix('10.244.0.0/16') };

function lease(id: string, subnet: string, publicIP: string): Lease {
  return { id, subnet: prefix(subnet), attributes: { publicIP: address(publicIP), backendType: 'vxlan' } };
}

const own = lease('me', '10.244.0.0/24', '192.0.2.1');
const entry = (...args: Parameters<typeof lease>): [string, Entry] => [args[0], { lease: lease(...args) }];
const book = (...entries: [string, Entry][]): LeaseBook => {
  const made = new LeaseBook(network, own);
  made.all(new Map(entries));
  return made;
};
const reasons = (made: LeaseBook) => Object.fromEntries(made.refusals.map(({ id, reason }) => [id, reason]));

describe('leases are judged', () => {
  test('good ones are peers; this node’s own is none', () => {
    const made = book(entry('a', '10.244.1.0/24', '192.0.2.2'), ['me', { lease: own }]);
    expect([...made.peers.keys()]).toEqual(['a']);
    expect(made.refusals).toEqual([]);
  });

  test.each([
    [
      entry('a', '10.245.1.0/24', '192.0.2.2'),
      /10\.245\.1\.0\/24 is outside of the network 10\.244\.0\.0\/16/,
    ],
    [entry('a', '10.244.0.0/16', '192.0.2.2'), /whole network/],
    [entry('a', '10.244.0.128/25', '192.0.2.2'), /overlaps this node's own/],
    [entry('a', '10.244.1.0/24', '192.0.2.1'), /192\.0\.2\.1 is this node's own/],
    [entry('a', '10.244.1.0/24', '10.244.9.9'), /10\.244\.9\.9 lies in the pod network/],
    [entry('a', '10.244.1.0/24', '127.0.0.1'), /127\.0\.0\.1 can be no node's/],
    [entry('a', '10.244.1.0/24', '255.255.255.255'), /can be no node's/],
    [['a', { unreadable: 'it is torn' }] as [string, Entry], /it is torn/],
    [
      ['a', { lease: { id: 'a', attributes: { publicIP: address('192.0.2.2'), backendType: '' } } }] as [
        string,
        Entry,
      ],
      /no IPv4 subnet/,
    ],
    [
      ['a', { lease: { id: 'a', subnet: prefix('10.244.1.0/24'), attributes: { backendType: '' } } }] as [
        string,
        Entry,
      ],
      /no public IPv4 address/,
    ],
  ])('a bad one is refused by name, and the others go on', (bad, reason) => {
    const made = book(bad, entry('b', '10.244.9.0/24', '192.0.2.9'));
    expect([...made.peers.keys()]).toEqual(['b']);
    expect(reasons(made)).toEqual({ a: expect.stringMatching(reason) });
  });

  test('in a dual-stack network one family will do, but what is told of the other must not be false', () => {
    const made = new LeaseBook({ ...network, ipv6: prefix('fd00::/48') }, own);
    const [, { lease }] = entry('a', '10.244.1.0/24', '192.0.2.2') as [string, { lease: Lease }];
    const onlyIPv6 = { ...lease, id: 'b', subnet: undefined as never, ipv6Subnet: prefix('fd00:0:0:2::/64') };
    const neither = { ...lease, id: 'c', subnet: undefined as never };
    const foreign = { ...lease, id: 'd', subnet: prefix('10.244.9.0/24'), ipv6Subnet: prefix('fd99::/64') };
    made.all(
      new Map<string, Entry>([
        ['a', { lease }],
        [
          'b',
          { lease: { ...onlyIPv6, attributes: { backendType: '', publicIPv6: address('2001:db8::2') } } },
        ],
        ['c', { lease: neither }],
        ['d', { lease: { ...foreign, attributes: { backendType: '', publicIP: address('192.0.2.4') } } }],
      ]),
    );
    expect([...made.peers.keys()]).toEqual(['a', 'b']);
    expect(reasons(made)).toEqual({
      c: expect.stringContaining('no IPv4 subnet'),
      d: expect.stringContaining('fd99::/64 is outside of the network fd00::/48'),
    });
  });

  test.each([
    ['subnet', entry('b', '10.244.1.128/25', '192.0.2.3')],
    ['larger subnet', entry('b', '10.244.0.0/17', '192.0.2.3')],
    ['address', entry('b', '10.244.2.0/24', '192.0.2.2')],
  ])('the older holder of a %s stays until it is gone, then the other is judged again', (what, other) => {
    const made = book(entry('a', '10.244.1.0/24', '192.0.2.2'));
    expect(made.changed(...other)).toEqual({ changed: [], gone: [] });
    expect([...made.peers.keys()]).toEqual(['a']);
    if (what === 'larger subnet') return;
    const change = made.gone('a');
    expect([change.changed.map(({ id }) => id), change.gone]).toEqual([['b'], ['a']]);
  });

  test('a node that is replaced under the same subnet is followed', () => {
    const made = book(entry('old', '10.244.1.0/24', '192.0.2.2'));
    made.changed(...entry('new', '10.244.1.0/24', '192.0.2.7'));
    const change = made.all(new Map([entry('new', '10.244.1.0/24', '192.0.2.7')]));
    expect([change.changed.map(({ id }) => id), change.gone]).toEqual([['new'], ['old']]);
  });

  test('a list that is read again keeps the older holder, whatever its order', () => {
    const made = book(entry('z', '10.244.1.0/24', '192.0.2.2'));
    made.all(new Map([entry('a', '10.244.1.0/24', '192.0.2.3'), entry('z', '10.244.1.0/24', '192.0.2.2')]));
    expect([...made.peers.keys()]).toEqual(['z']);
  });

  test('a change of attributes is a change, the same again is none', () => {
    const made = book(entry('a', '10.244.1.0/24', '192.0.2.2'));
    expect(made.changed(...entry('a', '10.244.1.0/24', '192.0.2.2')).changed).toEqual([]);
    expect(made.changed(...entry('a', '10.244.1.0/24', '192.0.2.5')).changed).toHaveLength(1);
  });

  test('when this node’s own lease changes, who touches it is no peer any more', () => {
    const made = book(entry('a', '10.244.1.0/24', '192.0.2.2'));
    expect(made.setOwn(lease('me', '10.244.1.0/24', '192.0.2.1')).gone).toEqual(['a']);
    expect(made.setOwn(own).changed.map(({ id }) => id)).toEqual(['a']);
  });
});

describe('who waits for a subnet or an address', () => {
  const ids = (leases: readonly Lease[]) => leases.map(({ id }) => id);

  test('gets it in the order in which they came', () => {
    const made = book(entry('a', '10.244.1.0/24', '192.0.2.2'));
    made.changed(...entry('late', '10.244.1.0/24', '192.0.2.4'));
    made.changed(...entry('b', '10.244.1.0/24', '192.0.2.3'));
    expect(ids(made.gone('a').changed)).toEqual(['late']);
    expect(reasons(made)).toEqual({ b: 'its subnet 10.244.1.0/24 overlaps 10.244.1.0/24 of late' });
    expect(ids(made.gone('late').changed)).toEqual(['b']);
  });

  test('gets it when the holder moves elsewhere, not when it changes something else', () => {
    const made = book(entry('a', '10.244.1.0/24', '192.0.2.2'));
    made.changed(...entry('b', '10.244.1.0/24', '192.0.2.3'));
    expect(ids(made.changed(...entry('a', '10.244.1.0/24', '192.0.2.9')).changed)).toEqual(['a']);
    expect(ids(made.changed(...entry('a', '10.244.2.0/24', '192.0.2.9')).changed)).toEqual(['a', 'b']);
  });

  test('two that exchange their subnets in one list are followed', () => {
    const made = book(entry('a', '10.244.1.0/24', '192.0.2.2'), entry('b', '10.244.2.0/24', '192.0.2.3'));
    const change = made.all(
      new Map([entry('a', '10.244.2.0/24', '192.0.2.2'), entry('b', '10.244.1.0/24', '192.0.2.3')]),
    );
    expect([ids(change.changed).toSorted(), change.gone]).toEqual([['a', 'b'], []]);
  });

  test('of many small subnets below a large one, each is seen', () => {
    const made = book(
      entry('a', '10.244.64.0/26', '192.0.2.2'),
      entry('b', '10.244.127.192/26', '192.0.2.3'),
    );
    made.changed(...entry('large', '10.244.64.0/18', '192.0.2.4'));
    made.gone('b');
    expect(reasons(made)).toEqual({ large: expect.stringContaining('10.244.64.0/26 of a') });
    expect(ids(made.gone('a').changed)).toEqual(['large']);
  });
});

describe('an entry that cannot be read any more', () => {
  test('is named, and the lease that it had stays: nothing says that the node is gone', () => {
    const made = book(entry('a', '10.244.1.0/24', '192.0.2.2'));
    expect(made.changed('a', { unreadable: 'it is torn' })).toEqual({ changed: [], gone: [] });
    expect(reasons(made)).toEqual({ a: 'it is torn; the lease that it had stays in use' });
    made.changed(...entry('b', '10.244.1.0/24', '192.0.2.3'));
    expect([...made.peers.keys()]).toEqual(['a']);
    made.changed(...entry('a', '10.244.1.0/24', '192.0.2.2'));
    expect(Object.keys(reasons(made))).toEqual(['b']);
    made.changed('a', { unreadable: 'it is torn' });
    expect(made.gone('a').gone).toEqual(['a']);
    expect([...made.peers.keys()]).toEqual(['b']);
  });

  test('is no peer once this node’s own lease touches it', () => {
    const made = book(entry('a', '10.244.1.0/24', '192.0.2.2'));
    made.changed('a', { unreadable: 'it is torn' });
    expect(made.setOwn(lease('me', '10.244.1.0/24', '192.0.2.1')).gone).toEqual(['a']);
    expect(reasons(made)).toEqual({ a: 'it is torn' });
  });
});

test('families that the network does not have are not looked at', () => {
  const six = (id: string, host: number, publicIP: string): [string, Entry] => [
    id,
    {
      lease: {
        id,
        ipv6Subnet: prefix(`fd00:0:0:${host}::/64`),
        attributes: {
          publicIP: address(publicIP),
          publicIPv6: address(`2001:db8::${host}`),
          backendType: 'host-gw',
        },
      },
    },
  ];
  const made = new LeaseBook({ ipv6: prefix('fd00::/48') }, { id: 'me', attributes: { backendType: '' } });
  made.all(new Map([six('a', 1, '0.0.0.0'), six('b', 2, '0.0.0.0')]));
  expect([...made.peers.keys()]).toEqual(['a', 'b']);
});

describe('whatever happens', () => {
  const step = fc.record({
    id: fc.constantFrom('a', 'b', 'c', 'd'),
    subnet: fc.constantFrom(
      '10.244.1.0/24',
      '10.244.2.0/24',
      '10.244.1.0/25',
      '10.244.0.0/23',
      '10.9.0.0/24',
    ),
    host: fc.integer({ min: 1, max: 5 }),
    does: fc.constantFrom('set', 'gone', 'list', 'spoil', 'own'),
  });

  test('peers never touch each other, and the changes add up to the peers', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const made = book();
        const entries = new Map<string, Entry>();
        const seen = new Map<string, Lease>();
        for (const { id, subnet, host, does } of steps) {
          if (does === 'gone') entries.delete(id);
          else if (does === 'spoil') entries.set(id, { unreadable: 'it is torn' });
          else if (does !== 'own') entries.set(...entry(id, subnet, `192.0.2.${host}`));
          const now = entries.get(id);
          const change =
            does === 'own'
              ? made.setOwn(lease('me', subnet, `192.0.2.${host}`))
              : does === 'list'
                ? made.all(entries)
                : now === undefined
                  ? made.gone(id)
                  : made.changed(id, now);
          for (const gone of change.gone) seen.delete(gone);
          for (const changed of change.changed) seen.set(changed.id, changed);
          expect(new Map(made.peers)).toEqual(seen);
          const standing = [...made.peers.values()];
          const addresses = standing.map(({ attributes }) => attributes.publicIP);
          expect(new Set(addresses).size).toBe(addresses.length);
          const touching = standing.flatMap(({ subnet: one }, i) =>
            standing.slice(i + 1).filter(({ subnet: other }) => one && other && overlaps(one, other)),
          );
          expect(touching).toEqual([]);
          // A refusal for somebody else's sake is for one who is still in the way.
          for (const reason of Object.values(reasons(made))) {
            const holder = /(?:of|that of) (\w)$/.exec(reason)?.[1];
            if (holder !== undefined) expect(made.peers.has(holder)).toBe(true);
          }
          // Everybody is a peer or is refused with a reason; both only when it cannot be read any more.
          for (const [each, one] of entries) {
            const reason = reasons(made)[each];
            if ('unreadable' in one) expect(reason).toMatch(/^it is torn/);
            else expect(reason === undefined).toBe(made.peers.has(each));
          }
          expect(
            [...made.peers.keys(), ...Object.keys(reasons(made))].every((each) => entries.has(each)),
          ).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });
});
