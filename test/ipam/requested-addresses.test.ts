import { describe, expect, test } from 'vitest';
import { parseRangeSets } from '../../src/ipam/range-set.ts';
import { add, read, reserved, scratchDirectory, scratchStore, setsOf, slash24 } from './scratch.ts';

describe('requested addresses', () => {
  const dual = setsOf(['10.1.2.0/24', '10.1.3.0/24'], ['2001:db8:1::/48']);

  test('I12 each goes to the set that holds it', async () => {
    const directory = scratchDirectory();
    const store = scratchStore(directory);
    expect(await add(store, slash24, 'a', 'eth0', '10.1.2.88')).toEqual(['10.1.2.88/24']);
    expect(read(directory, 'last_reserved_ip.0')).toBe('10.1.2.88');
    expect(await add(store, dual, 'b', 'eth0', '2001:db8:1::999', '10.1.3.77')).toEqual([
      '10.1.3.77/24',
      '2001:db8:1::999/48',
    ]);
    expect(await add(store, dual, 'c', 'eth0', '2001:db8:1::99a')).toEqual([
      '10.1.3.78/24',
      '2001:db8:1::99a/48',
    ]);
  });

  test('I13 the gateway is refused', async () => {
    await expect(
      add(scratchStore(scratchDirectory()), slash24, 'a', 'eth0', '10.1.2.1'),
    ).rejects.toMatchObject({
      code: 'REQUESTED',
      message: "failed to allocate for range 0: requested ip 10.1.2.1 is subnet's gateway",
    });
  });

  test('I13 a taken one is refused', async () => {
    const store = scratchStore(scratchDirectory());
    await add(store, slash24, 'a', 'eth0', '10.1.2.5');
    await expect(add(store, slash24, 'b', 'eth0', '10.1.2.5')).rejects.toThrow(
      'failed to allocate for range 0: requested IP address 10.1.2.5 is not available in range set 10.1.2.1-10.1.2.254',
    );
  });

  test('I13 one of no range, and a second of one set, are refused, and nothing stays behind', async () => {
    const directory = scratchDirectory();
    const store = scratchStore(directory);
    await expect(add(store, dual, 'a', 'eth0', '10.1.2.9', '10.1.3.9', '10.7.7.7')).rejects.toMatchObject({
      code: 'REQUESTED',
      message: 'failed to allocate all requested IPs: 10.1.3.9 10.7.7.7',
    });
    expect(reserved(directory)).toEqual([]);
  });

  test('I13 one outside of the bounds of its range is refused', async () => {
    const single = { subnet: '10.1.2.0/24', rangeStart: '10.1.2.3', rangeEnd: '10.1.2.4' };
    const sets = parseRangeSets({ single, cniVersion: '1.0.0' });
    for (const asked of ['10.1.2.2', '10.1.2.5']) {
      await expect(add(scratchStore(scratchDirectory()), sets, 'a', 'eth0', asked)).rejects.toThrow(
        `failed to allocate all requested IPs: ${asked}`,
      );
    }
  });
});
