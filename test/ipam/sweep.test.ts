import { describe, expect, test } from 'vitest';
import { ownerKey } from '../../src/ipam/entry.ts';
import { grace, leftovers, type Sight } from '../../src/ipam/sweep.ts';
import { address } from '../../src/net/address.ts';
import { owner } from './scratch.ts';

const now = 1_800_000_000_000;
const bootTime = now - 3_600_000;
const old = now - grace - 1;
const entry = (modified: number, ifname = 'eth0') => ({
  address: address('10.0.0.2'),
  ...owner('a', ifname),
  modified,
});
const veth = (sight: Sight) => new Map([[ownerKey(owner('a')), sight]]);
const none: ReadonlyMap<string, Sight> = new Map();
const reasons = (modified: number, veths: ReadonlyMap<string, Sight>, ifname?: string) =>
  leftovers([entry(modified, ifname)], { bootTime, now, veths }).map(({ reason }) => reason);

describe('the sweep', () => {
  test('releases what is from before this boot, with and without a record', () => {
    expect(reasons(bootTime - 1, none)).toEqual(['from before this boot']);
    expect(reasons(bootTime - 1, veth('gone'))).toEqual(['from before this boot']);
  });

  test('releases what has a record and no veth', () => {
    expect(reasons(old, veth('gone'))).toEqual(['its host veth is gone']);
  });

  test('keeps what has a record and its veth, even when a wrong clock says that it is older than the boot', () => {
    expect(reasons(old, veth('there'))).toEqual([]);
    expect(reasons(bootTime - 1, veth('there'))).toEqual([]);
  });

  test('keeps what may have its veth elsewhere, until the next boot', () => {
    expect(reasons(old, veth('elsewhere'))).toEqual([]);
    expect(reasons(bootTime - 1, veth('elsewhere'))).toEqual(['from before this boot']);
    expect(reasons(old, new Map([...veth('elsewhere'), ['a/eth1', 'gone']]), '')).toEqual([]);
  });

  test('keeps what another program made in this boot', () => {
    expect(reasons(old, none)).toEqual([]);
    expect(reasons(bootTime, none)).toEqual([]);
  });

  test('leaves an ADD alone that has written its record and not made the veth yet', () => {
    expect(reasons(now - grace, veth('gone'))).toEqual([]);
    expect(reasons(now + 5_000, veth('gone'))).toEqual([]);
  });

  test('a file that names the container alone goes by any record of the container', () => {
    expect(reasons(old, veth('there'), '')).toEqual([]);
    expect(reasons(bootTime - 1, veth('there'), '')).toEqual([]);
    expect(reasons(old, veth('gone'), '')).toEqual(['its host veth is gone']);
    expect(reasons(old, new Map([['ab/eth0', 'gone']]), '')).toEqual([]);
  });

  test('another interface of the container has a record of its own', () => {
    expect(reasons(old, veth('gone'), 'eth1')).toEqual([]);
  });
});
