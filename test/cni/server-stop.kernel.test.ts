import { existsSync, rmSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { frameTypes } from '../../src/cni/launcher/frame.ts';
import { Parted } from '../../src/cni/world.ts';
import { VirtualClock } from '../kit/virtual-clock.ts';
import { environment, reply, serving, tasks } from './serving.ts';

describe('a server that is stopped', () => {
  test("takes no socket away but its own: its file may be gone, and another's in its place", async () => {
    const serve = () => Promise.resolve(reply(''));
    const { server, socket } = serving(serve);
    rmSync(socket);
    serving(serve, { path: socket });
    await server.close();
    expect(existsSync(socket)).toBe(true);
  });

  test('is closed when those who are being served have their answer, and what was put off is done', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const done: string[] = [];
    const { server, connect } = serving(async (_, caller) => {
      begun.resolve();
      await caller.afterwards(async () => void done.push('put off'));
      await promise;
      done.push('served');
      return reply('result');
    });
    const client = connect();
    client.request(environment());
    await begun.promise;
    const closed = server.close().then(() => done.push('closed'));
    resolve();
    expect((await client.receive())?.payload.subarray(8).toString()).toBe('result');
    await closed;
    expect(done).toEqual(['served', 'put off', 'closed']);
  });

  test('leaves whoever comes then, and has not asked yet, to do it alone', async () => {
    const begun = Promise.withResolvers<void>();
    const { promise, resolve } = Promise.withResolvers<void>();
    const { server, connect } = serving(async (_, caller) => {
      caller.begin();
      begun.resolve();
      await promise;
      return reply('');
    });
    const [first, late] = [connect(), connect()];
    first.request(environment());
    await begun.promise;
    const closed = server.close();
    late.request(environment({ CNI_CONTAINERID: 'c2' }));
    expect(await late.receive()).toBeUndefined();
    expect(late.takeBack()).toBe(true);
    resolve();
    await closed;
  });

  test('waits two seconds for them, and then for what comes of that', async () => {
    const clock = new VirtualClock();
    const done: string[] = [];
    const { server, connect } = serving(
      async (_, caller) => {
        const refused = await caller.perform(tasks).catch((error: unknown) => error);
        done.push(refused instanceof Parted ? 'left' : 'done');
        return reply('');
      },
      { clock },
    );
    const client = connect();
    client.request(environment());
    expect((await client.receive())?.type).toBe(frameTypes.WORK);
    const closed = server.close().then(() => done.push('closed'));
    await clock.advance(1_999);
    expect(done).toEqual([]);
    await clock.advance(1);
    await closed;
    expect(done).toEqual(['left', 'closed']);
  });
});
