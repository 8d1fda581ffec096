import { statSync } from 'node:fs';
import { expect, test } from 'vitest';
import { bootTimeOf, bootTraces, earliestBootTime } from '../../src/daemon/host/boot-time.ts';
import { leftovers } from '../../src/ipam/sweep.ts';
import { address } from '../../src/net/address.ts';

const hour = 3_600_000;
const now = 1000 * hour;

test.each([
  ['is that of the uptime', { now, uptime: 3600, mounted: now - hour }, now - hour],
  ['where nobody tells more', { now, uptime: 3600, mounted: undefined }, now - hour],
  [
    'was earlier where the machine was paused',
    { now, uptime: 3600, mounted: now - 9 * hour },
    now - 9 * hour,
  ],
  ['was in the past where the clock was set later', { now, uptime: 3600, mounted: 0 }, 0],
  ['is not that of a container', { now, uptime: 3600, mounted: now - 60_000 }, now - hour],
])('the start %s', (_what, traces, start) => {
  expect(bootTimeOf(traces)).toBe(start);
});

test('the address of a pod that another program made before the machine was paused stays', () => {
  const entry = {
    address: address('10.244.1.2'),
    containerID: 'c1',
    ifname: 'eth0',
    modified: now - 8 * hour,
  };
  const bootTime = bootTimeOf({ now, uptime: 3600, mounted: now - 9 * hour });
  expect(leftovers([entry], { now, bootTime, veths: new Map() })).toEqual([]);
});

test.each([
  ['back', -9 * hour],
  ['ahead', 9 * hour],
])('an address that another program made after the clock was set %s stays', (_where, by) => {
  let traces = { now, uptime: 3600, mounted: now - hour };
  const bootTime = earliestBootTime(() => traces);
  bootTime();
  traces = { ...traces, now: now + by + 60_000, uptime: 3660 };
  const entry = { address: address('10.244.1.2'), containerID: 'c1', ifname: 'eth0', modified: traces.now };
  expect(leftovers([entry], { now: traces.now, bootTime: bootTime(), veths: new Map() })).toEqual([]);
  expect(bootTime()).toBe(now - hour + Math.min(by, 0));
});

test('this machine started before its sysfs was there', () => {
  const time = Date.now();
  expect(bootTimeOf(bootTraces(time))).toBeLessThanOrEqual(statSync('/sys').mtimeMs);
});
