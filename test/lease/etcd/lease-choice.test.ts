import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KeySpace, type StoredLease } from '../../../src/lease/etcd/key-space.ts';
import { type ChoiceInput, chooseLease, isLost } from '../../../src/lease/etcd/lease-choice.ts';
import type { LeaseWish } from '../../../src/lease/registry.ts';
import { address } from '../../../src/net/address.ts';
import { prefix } from '../../../src/net/prefix.ts';

const keys = new KeySpace('/coreos.com/network');
const network = { ipv4: prefix('10.5.0.0/16') };
const ranges = { ipv4: { length: 24, min: address('10.5.1.0'), max: address('10.5.255.0') } };
const wish: LeaseWish = {
  network,
  attributes: { publicIP: address('192.0.2.1'), backendType: 'vxlan' },
  previous: {},
};

function lease(id: string, value: string, { leaseId = '7', createRevision = 5n } = {}): StoredLease {
  const kv = { value: Buffer.from(value), leaseId, createRevision, modRevision: 9n };
  return keys.leaseOf({ ...kv, key: keys.keyOf(id) });
}
const of = (host: number) => `{"PublicIP":"192.0.2.${host}"}`;

const choose = (leases: StoredLease[], more: Partial<ChoiceInput> = {}) =>
  chooseLease({ leases, wish, ranges, own: undefined, random: () => 0, ...more });

describe('the lease that a node takes', () => {
  test('is one of the first hundred that are free', () => {
    expect(choose([])).toEqual({ id: '10.5.1.0-24', subnets: { subnet: '10.5.1.0/24' }, obsolete: [] });
    expect(choose([], { random: (count) => count - 1 })).toMatchObject({ id: '10.5.100.0-24' });
    const taken = [lease('10.5.1.0-24', of(2)), lease('10.5.2.0-23', '{'), lease('10.5.128.0-17', of(3))];
    expect(choose(taken)).toMatchObject({ id: '10.5.4.0-24' });
  });

  test('is the one with its own public address', () => {
    const mine = lease('10.5.7.0-24', of(1));
    expect(choose([lease('10.5.1.0-24', of(2)), mine])).toMatchObject({ id: '10.5.7.0-24', present: mine });
  });

  test('is the one where its pods are, before others with its address, which go', () => {
    const [low, high] = [lease('10.5.3.0-24', of(1)), lease('10.5.7.0-24', of(1))];
    const previous = { subnet: prefix('10.5.7.0/24') };
    expect(choose([low, high], { wish: { ...wish, previous } })).toEqual({
      id: '10.5.7.0-24',
      subnets: previous,
      present: high,
      obsolete: [low],
    });
    expect(choose([low], { wish: { ...wish, previous } })).toMatchObject({
      id: '10.5.7.0-24',
      obsolete: [low],
    });
  });

  test('is not the one where its pods were when somebody else has it, or it does not fit', () => {
    const at = (subnet: string) => ({ wish: { ...wish, previous: { subnet: prefix(subnet) } } });
    expect(choose([lease('10.5.7.0-24', of(2))], at('10.5.7.0/24'))).toMatchObject({ id: '10.5.1.0-24' });
    expect(choose([], at('10.6.7.0/24'))).toMatchObject({ id: '10.5.1.0-24' });
    expect(choose([], at('10.5.7.0/25'))).toMatchObject({ id: '10.5.1.0-24' });
  });

  test('replaces one that does not fit the network any more, but no reservation', () => {
    const [old, reserved] = [lease('10.5.8.0-22', of(1)), lease('10.5.12.0-22', of(1), { leaseId: '0' })];
    expect(choose([old, reserved])).toMatchObject({ id: '10.5.1.0-24', obsolete: [old] });
  });

  test('keeps its IPv4 subnet when the network gets IPv6', () => {
    const old = lease('10.5.7.0-24', of(1));
    const dual = choose([old], {
      ranges: {
        ...ranges,
        ipv6: { length: 64, min: address('fd00:0:0:1::'), max: address('fd00:0:0:ff::') },
      },
      wish: {
        ...wish,
        network: { ...network, ipv6: prefix('fd00::/56') },
        attributes: { ...wish.attributes, publicIPv6: address('2001:db8::1') },
      },
    });
    expect(dual).toMatchObject({ id: '10.5.7.0-24&fd00:0:0:1::-64', obsolete: [old] });
    expect(dual).not.toHaveProperty('present');
  });

  test('of a running node is its own, whatever else has its address', () => {
    const own = { id: '10.5.7.0-24', createRevision: 5n };
    const other = lease('10.5.3.0-24', of(1));
    const mine = lease('10.5.7.0-24', of(66));
    expect(choose([other, mine], { own })).toMatchObject({ id: '10.5.7.0-24', present: mine, obsolete: [] });
  });

  test('of a running node is the same again when it was gone', () => {
    const own = { id: '10.5.7.0-24', createRevision: 5n };
    const previous = { subnet: prefix('10.5.9.0/24') };
    expect(choose([], { own, wish: { ...wish, previous } })).toMatchObject({ id: '10.5.7.0-24' });
  });

  test('of a running node is another one, after somebody got its subnet while the lease was gone', () => {
    const own = { id: '10.5.7.0-24', createRevision: 5n };
    const [theirs, ours] = [of(66), of(1)].map((value) =>
      lease('10.5.7.0-24', value, { createRevision: 6n }),
    ) as [StoredLease, StoredLease];
    expect([isLost(theirs, own, wish), isLost(ours, own, wish)]).toEqual([true, false]);
    expect(choose([theirs], { own })).toMatchObject({ id: '10.5.1.0-24', obsolete: [] });
    expect(choose([ours], { own })).toMatchObject({ id: '10.5.7.0-24', present: ours });
  });

  test('in dual stack lies beside leases from before IPv6, also where these are of others', () => {
    const both = { ...network, ipv6: prefix('fd00:5::/56') };
    const ipv6 = { length: 64, min: address('fd00:5:0:1::'), max: address('fd00:5:0:ff::') };
    const attributes = { ...wish.attributes, publicIPv6: address('2001:db8::1') };
    const others = [lease('10.5.1.0-24', of(2)), lease('0.0.0.0-0&fd00:5:0:1::-64', of(3))];
    expect(
      choose(others, { wish: { ...wish, network: both, attributes }, ranges: { ...ranges, ipv6 } }),
    ).toMatchObject({ subnets: { subnet: '10.5.2.0/24', ipv6Subnet: 'fd00:5:0:2::/64' } });
  });

  test('says which network is full', () => {
    const small = { ipv4: { ...ranges.ipv4, max: address('10.5.1.0') } };
    expect(choose([lease('10.5.1.0-24', of(2))], { ranges: small })).toEqual({ full: network.ipv4 });
  });

  test('never overlaps that of another node, whatever there is', () => {
    const key = fc
      .tuple(fc.nat(255), fc.nat(255), fc.integer({ min: 17, max: 30 }))
      .map(([a, b, length]) => lease(`10.5.${a}.${b}-${length}`, of(2)));
    fc.assert(
      fc.property(fc.array(key), fc.nat(99), (leases, number) => {
        const choice = choose(leases, { random: (count) => Math.min(number, count - 1) });
        if ('full' in choice) return true;
        return leases.every(
          ({ subnets: { subnet } }) => subnet === undefined || apart(subnet, choice.subnets.subnet),
        );
      }),
    );
  });
});

function apart(one: string, other: string | undefined): boolean {
  const [a, b] = [one, other ?? ''].map((text) => {
    const [dotted = '', length = ''] = text.split('/');
    const value = dotted.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
    return { from: value, to: value + 2 ** (32 - Number(length)) };
  }) as [{ from: number; to: number }, { from: number; to: number }];
  return a.to <= b.from || b.to <= a.from;
}
