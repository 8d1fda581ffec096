import path from 'node:path';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { createCniService } from '../../src/cni/launcher/service.ts';
import type { Swept } from '../../src/cni/records/sweep.ts';
import type { World } from '../../src/cni/world.ts';
import { silentLog } from '../../src/world/log.ts';
import { systemRandom } from '../../src/world/random.ts';
import { idle, VirtualClock } from '../kit/virtual-clock.ts';
import { scratchDirectory } from './scratch.ts';

const { sweep } = vi.hoisted(() => ({ sweep: vi.fn<(world: World) => Promise<Swept>>() }));
vi.mock('../../src/cni/records/sweep.ts', () => ({ sweep }));
beforeEach(() => void sweep.mockReset());

/** Its sweeps are what the test makes of them: real ones look at the machine. */
function service(bootTime = () => 0) {
  const clock = new VirtualClock();
  const cni = createCniService({
    binding: loadBinding(),
    clock,
    log: silentLog,
    random: systemRandom,
    announcements: {
      subscribe: () => ({ close() {}, read: () => true }),
      read: () => true,
      promptly: () => () => {},
    },
    run: () => Promise.reject(new Error('runs nothing')),
    socketPath: path.join(scratchDirectory(), 'sock'),
    ipv6RouteMtu: () => undefined,
    bootTime,
  });
  return { clock, cni };
}

/** As long as the answer is not called. */
function sweepsUntil() {
  const { promise, resolve } = Promise.withResolvers<Swept>();
  sweep.mockReturnValue(promise);
  return () => resolve({ addresses: 1, attachments: 0 });
}

test('each sweep hears anew when this boot began: the clock may have been set', async () => {
  const told: number[] = [];
  sweep.mockImplementation(async ({ bootTime }) => {
    told.push(bootTime);
    return { addresses: 0, attachments: 0 };
  });
  let bootTime = 2000;
  const { cni } = service(() => bootTime);
  onTestFinished(() => cni.close());
  await cni.sweep();
  bootTime = 1000;
  await cni.sweep();
  expect(told).toEqual([2000, 1000]);
});

test('a sweep that is asked for while one runs is that one', async () => {
  const { cni } = service();
  onTestFinished(() => cni.close());
  const end = sweepsUntil();
  const both = [cni.sweep(), cni.sweep()];
  expect(sweep).toHaveBeenCalledTimes(1);
  end();
  expect(await Promise.all(both)).toEqual([
    { addresses: 1, attachments: 0 },
    { addresses: 1, attachments: 0 },
  ]);
  await cni.sweep();
  expect(sweep).toHaveBeenCalledTimes(2);
});

test('a stop waits for a sweep, and for two seconds at most: somebody may hold the lock that it needs', async () => {
  for (const stuck of [false, true]) {
    const { cni, clock } = service();
    const end = sweepsUntil();
    void cni.sweep();
    let isClosed = false;
    const closed = cni.close().then(() => (isClosed = true));
    await clock.advance(1_999);
    expect(isClosed).toBe(false);
    if (!stuck) end();
    else await clock.advance(1);
    await idle();
    expect(isClosed).toBe(true);
    await closed;
  }
});
