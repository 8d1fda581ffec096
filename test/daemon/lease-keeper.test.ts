import { describe, expect, test } from 'vitest';
import { LeaseKeeper } from '../../src/daemon/leases/lease-keeper.ts';
import type { Lease } from '../../src/lease/lease.ts';
import { type LeaseWish, RegistryError } from '../../src/lease/registry.ts';
import { address } from '../../src/net/address.ts';
import { VirtualClock } from '../kit/virtual-clock.ts';

/** A registry that answers as it is told, and remembers what it was asked last. */
function scene(answer: (attempt: number) => Promise<void> | void) {
  const clock = new VirtualClock();
  const published: string[] = [];
  const told: string[] = [];
  const state = { ip: '192.0.2.1', attempts: 0 };
  const keeper = new LeaseKeeper({
    clock,
    random: () => Uint8Array.of(0),
    registry: {
      async acquire({ attributes }: LeaseWish): Promise<Lease> {
        await answer(state.attempts++);
        published.push(attributes.publicIP ?? '');
        return { id: 'me', attributes };
      },
    },
    wish: () => ({
      attributes: { publicIP: address(state.ip), backendType: 'vxlan' },
      network: {},
      previous: {},
    }),
    failed: (error) => told.push((error as Error).message),
  });
  return { clock, published, told, state, keeper };
}

const away = () => {
  throw new RegistryError('away');
};

describe('asking for a lease', () => {
  test('goes on until there is one, each time with what holds then', async () => {
    const { clock, published, told, state, keeper } = scene((attempt) => (attempt < 3 ? away() : undefined));
    const lease = keeper.ask();
    await clock.advance(600);
    state.ip = '192.0.2.9';
    await clock.advance(60_000);
    expect((await lease)?.attributes.publicIP).toBe('192.0.2.9');
    expect([published, told]).toEqual([['192.0.2.9'], ['away', 'away', 'away']]);
  });

  test('the last word wins, also over an attempt that is under way', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { clock, published, state, keeper } = scene((attempt) => (attempt === 0 ? promise : undefined));
    const first = keeper.ask();
    await clock.advance(1);
    state.ip = '192.0.2.2';
    const second = keeper.ask();
    await clock.advance(1);
    resolve();
    // It has been taken, and its subnet may be another one: until the second is there it is this node's.
    expect((await first)?.attributes.publicIP).toBe('192.0.2.1');
    expect((await second)?.attributes.publicIP).toBe('192.0.2.2');
    expect(published.at(-1)).toBe('192.0.2.2');
  });

  test('an earlier asking that waits comes to an end', async () => {
    const { clock, published, state, keeper } = scene((attempt) => (attempt === 0 ? away() : undefined));
    const first = keeper.ask();
    await clock.advance(1);
    state.ip = '192.0.2.2';
    await keeper.ask();
    await clock.advance(60_000);
    expect(await first).toBeUndefined();
    expect(published).toEqual(['192.0.2.2']);
  });

  test('ends at a refusal that is final, whenever it comes', async () => {
    const { clock, state, keeper } = scene((attempt) => {
      if (attempt === 0) away();
      throw new RegistryError('never', { permanent: true });
    });
    const refused = expect(keeper.ask()).rejects.toThrow('never');
    await clock.advance(600);
    await refused;
    await clock.advance(60_000);
    expect(state.attempts).toBe(2);
  });

  test('a refusal that is final ends no later asking', async () => {
    const { promise, reject } = Promise.withResolvers<void>();
    const { clock, keeper } = scene((attempt) => (attempt === 0 ? promise : undefined));
    const first = keeper.ask();
    await clock.advance(1);
    const second = keeper.ask();
    reject(new RegistryError('never', { permanent: true }));
    expect(await first).toBeUndefined();
    expect(await second).toBeDefined();
  });

  test('stops', async () => {
    const { clock, state, keeper } = scene(away);
    const lease = keeper.ask();
    await clock.advance(1);
    keeper.stop();
    expect(await lease).toBeUndefined();
    expect(await keeper.ask()).toBeUndefined();
    await clock.advance(60_000);
    expect(state.attempts).toBe(1);
  });
});
