import { describe, expect, test } from 'vitest';
import { staleEntries } from '../../src/ipam/gc.ts';
import { address } from '../../src/net/address.ts';
import { owner } from './scratch.ts';

const entry = (text: string, containerID: string, ifname = 'eth0') => ({
  address: address(text),
  ...owner(containerID, ifname),
});

describe('garbage collection', () => {
  const entries = [
    entry('10.0.0.2', 'a'),
    entry('10.0.0.3', 'a', 'eth1'),
    entry('10.0.0.4', 'b', ''),
    entry('10.0.0.5', 'c', ''),
    entry('fd00::2', 'd'),
  ];

  test('keeps valid attachments, and a container-only file while its container has any', () => {
    const stale = staleEntries(entries, [owner('a'), owner('b', 'net1')]);
    expect(stale.map((each) => each.address)).toEqual(['10.0.0.3', '10.0.0.5', 'fd00::2']);
  });

  test('an empty list leaves nothing', () => {
    expect(staleEntries(entries, [])).toEqual(entries);
  });
});
