import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { firstToolFrame, frameTypes } from '../../src/cni/launcher/frame.ts';
import { Aborted, NotMine } from '../../src/cni/world.ts';
import { silentLog } from '../../src/world/log.ts';
import { createNetns } from '../kit/netns.ts';
import { idle, VirtualClock } from '../kit/virtual-clock.ts';
import { LauncherClient } from './launcher-client.ts';
import { scratchDirectory } from './scratch.ts';
import { binding, environment, reply, serving, sysctl, tasks } from './serving.ts';

const { REPLY, NOT_MINE, WORK, DONE, AHEAD } = frameTypes;
const u32 = (...numbers: number[]) => Buffer.from(new Uint32Array(numbers).buffer);
const openDescriptors = () => readdirSync('/proc/self/fd').length;

describe('the server', () => {
  test('has a socket for root alone, and takes it away at the end', async () => {
    const { server, socket } = serving(() => Promise.resolve(reply('')));
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    await server.close();
    expect(() => statSync(socket)).toThrow();
  });

  test('takes over a socket that nobody serves, and none that somebody does', () => {
    const { socket } = serving(() => Promise.resolve(reply('')));
    expect(() => serving(() => Promise.resolve(reply('')), { path: socket })).toThrow(/is served already/);
    const dead = `${socket}2`;
    binding.close(binding.listenUnix(dead, 0o600));
    serving(() => Promise.resolve(reply('')), { path: dead });
  });

  test('leaves alone what is no socket', () => {
    const file = path.join(scratchDirectory(), 'precious');
    writeFileSync(file, 'precious');
    for (const place of [file, path.dirname(file)]) {
      const serve = () => Promise.resolve(reply(''));
      expect(() => serving(serve, { path: place })).toThrow(
        `${place} is no socket: move it away, or name another place (--socket)`,
      );
    }
    expect(readFileSync(file, 'utf8')).toBe('precious');
  });

  test('waits between tries while this process has no room for a connection, and then takes it', async () => {
    const EMFILE = 24;
    let full = true;
    let tries = 0;
    const acceptUnix = (fd: number) => {
      tries++;
      return full ? -EMFILE : binding.acceptUnix(fd);
    };
    const { connect } = serving(() => Promise.resolve(reply('')), { binding: { ...binding, acceptUnix } });
    const client = connect();
    client.request(environment(), '');
    const answer = client.receive();
    await expect.poll(() => tries).toBeGreaterThan(2);
    expect(tries).toBeLessThan(10);
    full = false;
    expect((await answer)?.type).toBe(REPLY);
  });

  test('answers a request at once when nothing needs doing', async () => {
    const { connect } = serving(({ environment: given, stdin }) =>
      Promise.resolve(reply(`${given['CNI_COMMAND']} ${stdin.toString()}`)),
    );
    const client = connect();
    client.request(environment(), '{}');
    const frame = await client.receive();
    expect(frame?.type).toBe(REPLY);
    expect(frame?.payload.subarray(8).toString()).toBe('ADD {}');
    expect(await client.receive()).toBeUndefined();
  });

  test('has the launcher do what is planned, and print the reply', async () => {
    const { connect } = serving(async (_, caller) => {
      caller.begin();
      await caller.perform(tasks, 'result');
      return reply('not sent');
    });
    const client = connect();
    client.request(environment());
    const work = await client.receive();
    expect(work?.type).toBe(WORK);
    const script = Buffer.from('sp\u0001net/x\u00001\0');
    expect(work?.payload).toEqual(
      Buffer.concat([u32(script.length), script, u32(0, 6), Buffer.from('result')]),
    );
    client.send(DONE, u32(1, 0));
    expect(await client.receive()).toBeUndefined();
  });

  test('hears what the launcher could not do, and answers itself', async () => {
    const { connect } = serving(async (_, caller) => {
      caller.begin();
      const error = await caller.perform(tasks, 'result').catch((refused: unknown) => refused);
      return reply(JSON.stringify(error));
    });
    const client = connect();
    client.request(environment());
    await client.receive();
    client.send(DONE, u32(0, 2));
    const answer = JSON.parse((await client.receive())?.payload.subarray(8).toString() ?? '') as object;
    expect(answer).toMatchObject({ name: 'SysctlError', sysctl: { path: 'net/x' }, errno: 2 });
  });

  test('hands out ahead what is started, with the CPU that it is on, and counts it in', async () => {
    const refusals: unknown[] = [];
    const { connect } = serving(async (_, caller) => {
      caller.begin();
      caller.start?.(tasks);
      const second = { task: 'sysctl', sysctl: { ...sysctl, path: 'net/y' } } as const;
      await caller.perform([second], 'done').catch((error: unknown) => refusals.push(error));
      return reply('');
    });
    const client = connect();
    client.request(environment());
    const ahead = await client.receive();
    expect([ahead?.type, ahead?.payload.toString('latin1', 4)]).toEqual([AHEAD, 'sp\x01net/x\x001\0']);
    expect(ahead?.payload.readInt32LE(0)).toBeLessThan(cpus().length);
    const work = await client.receive();
    expect([work?.type, work?.payload.toString('latin1', 4, 16)]).toEqual([WORK, 'sp\x01net/y\x001\0\0']);
    client.send(DONE, u32(1, 13));
    await client.receive();
    expect(refusals).toMatchObject([{ errno: 13, sysctl: { path: 'net/y' } }]);
  });

  test('works alongside a launcher when no other one waits', async () => {
    const { connect } = serving((_, caller) => Promise.resolve(reply(String(caller.start !== undefined))));
    const ask = async () => {
      const client = connect();
      client.request(environment());
      return (await client.receive())?.payload.subarray(8).toString();
    };
    expect(await ask()).toBe('true');
    connect(); // and sends nothing yet
    expect(await ask()).toBe('false');
  });

  test('puts off what nobody waits for until nobody is connected', async () => {
    let isDone = false;
    const { socket, connect } = serving(
      async (_, caller) => {
        await caller.afterwards(async () => void (isDone = true));
        return reply('');
      },
      { clock: new VirtualClock() },
    );
    const other = new LauncherClient(binding, socket); // and sends nothing yet
    const client = connect();
    client.request(environment());
    expect((await client.receive())?.type).toBe(REPLY);
    await idle();
    expect(isDone).toBe(false);
    other.close();
    await expect.poll(() => isDone).toBe(true);
  });

  test('waits for what was started before it gives up', async () => {
    const order: string[] = [];
    const { connect } = serving(async (_, caller) => {
      caller.begin();
      caller.start?.(tasks);
      await caller.perform([]).catch(() => order.push('settled'));
      await caller.perform([]); // nothing is left to wait for
      return reply('undone');
    });
    const client = connect();
    client.request(environment());
    expect((await client.receive())?.type).toBe(AHEAD);
    const work = await client.receive();
    expect([work?.type, work?.payload.toString('hex')]).toEqual([WORK, '00000000']);
    order.push('done');
    client.send(DONE, u32(0, 17));
    expect((await client.receive())?.payload.subarray(8).toString()).toBe('undone');
    expect(order).toEqual(['done', 'settled']);
  });

  test('waits no longer when the launcher is gone', async () => {
    let settled = false;
    const { socket } = serving(async (_, caller) => {
      caller.begin();
      caller.start?.(tasks);
      await caller.perform([]).catch(() => {
        settled = true;
      });
      return reply('');
    });
    const client = new LauncherClient(binding, socket);
    client.request(environment());
    await client.receive();
    client.close();
    await expect.poll(() => settled).toBe(true);
  });

  test('says NOT_MINE with the reason', async () => {
    const { connect } = serving(() => Promise.reject(new NotMine('for a reason')));
    const client = connect();
    client.request(environment());
    expect(await client.receive()).toEqual({ type: NOT_MINE, payload: Buffer.from('for a reason') });
  });

  test('serves only launchers of its own namespace', async () => {
    const { connect } = serving(() => Promise.resolve(reply('')));
    const client = connect();
    client.request(environment({ FLANNEL_OWN_NETNS: '1:2' }));
    expect((await client.receive())?.type).toBe(NOT_MINE);
  });

  test('leaves what is read from a file to launchers that may have another one', async () => {
    const { connect } = serving(async (_, caller) => {
      caller.expectSame('/etc/resolv.conf');
      return reply('');
    });
    const [near, far] = [connect(), connect()];
    near.request(environment());
    far.request(environment({ FLANNEL_OWN_MNTNS: '1:2' }));
    expect((await near.receive())?.type).toBe(REPLY);
    expect((await far.receive())?.type).toBe(NOT_MINE);
  });

  test.each([
    ['is gone', (client: LauncherClient) => client.close()],
    ['has given it up', (client: LauncherClient) => void client.takeBack()],
  ])('does not begin what its launcher %s from', async (_, leave) => {
    const gone = Promise.withResolvers<void>();
    const outcome = Promise.withResolvers<unknown>();
    const { connect } = serving(async (_request, caller) => {
      await gone.promise;
      try {
        caller.begin();
        outcome.resolve('begun');
      } catch (error) {
        outcome.resolve(error);
        throw error;
      }
      return reply('');
    });
    const client = connect();
    client.request(environment());
    leave(client);
    gone.resolve();
    expect(await outcome.promise).toBeInstanceOf(Aborted);
  });

  test('leaves the launcher nothing to give up once it has begun', async () => {
    const { connect } = serving((_, caller) => {
      caller.begin();
      return Promise.resolve(reply(''));
    });
    const client = connect();
    client.request(environment());
    expect((await client.receive())?.type).toBe(REPLY);
    expect(client.takeBack()).toBe(false);
  });

  test('ends a connection that sends what was not asked for', async () => {
    const { connect } = serving(async (_, caller) => {
      await caller.perform([]);
      return reply('');
    });
    for (const [type, payload] of [
      [WORK, 'x'],
      [99, ''],
      [frameTypes.REQUEST, 'nonsense'],
      [DONE, ''],
    ] as const) {
      const client = connect();
      client.send(type, payload);
      expect(await client.receive()).toBeUndefined();
    }
    const client = connect();
    client.request(environment());
    await client.receive();
    client.send(DONE);
    expect(await client.receive()).toBeUndefined();
  });

  test('lets requests of one container wait for one another, and others not', async () => {
    const gates = new Map<string, () => void>();
    const started: string[] = [];
    const { connect } = serving(async ({ stdin }) => {
      started.push(stdin.toString());
      await new Promise<void>((resolve) => gates.set(stdin.toString(), resolve));
      return reply('');
    });
    const clients = ['a', 'b', 'other'].map((name) => {
      const client = connect();
      client.request(environment({ CNI_CONTAINERID: name === 'other' ? 'c2' : 'c1' }), name);
      return client;
    });
    await expect.poll(() => started).toEqual(['a', 'other']);
    gates.get('a')?.();
    await expect.poll(() => started).toEqual(['a', 'other', 'b']);
    gates.get('b')?.();
    gates.get('other')?.();
    for (const client of clients) expect((await client.receive())?.type).toBe(REPLY);
  });

  test.each([
    ['open', false],
    ['own', true],
  ])('gets a socket in a namespace that is %s, and closes it', async (state, isOwn) => {
    const pod = createNetns();
    onTestFinished(() => pod.remove());
    const { connect } = serving((_, { pod: given, podIsOwn }) =>
      Promise.resolve(reply(`${given.state} ${podIsOwn}`)),
    );
    const client = connect();
    const before = openDescriptors();
    const socket = binding.openNetlink(0, pod.fd);
    client.request(environment({ FLANNEL_NETNS: `${state}:9` }), '', [socket]);
    binding.close(socket);
    expect((await client.receive())?.payload.subarray(8).toString()).toBe(`open ${isOwn}`);
    // One less: the server's end of the connection is closed too, whose other end is still ours.
    await expect.poll(openDescriptors).toBeLessThanOrEqual(before);
  });

  test('"open" without descriptors is nonsense', async () => {
    const { connect } = serving(() => Promise.resolve(reply('')));
    const client = connect();
    client.request(environment({ FLANNEL_NETNS: 'open:9' }));
    expect(await client.receive()).toBeUndefined();
  });

  test('leaves launchers of before the claim to themselves: an upgrade replaces one program before the other', async () => {
    const { connect } = serving(() => Promise.resolve(reply('served')));
    const pod = createNetns();
    onTestFinished(() => pod.remove());
    for (const [netns, descriptors] of [
      ['absent', []],
      ['ok', [pod.fd, pod.fd]],
    ] as const) {
      const client = connect();
      const variables = Object.entries(environment({ FLANNEL_NETNS: netns }));
      const payload = variables.map(([key, value]) => `${key}=${value}\0`).join('');
      client.send(frameTypes.REQUEST, `${payload}\0{}`, descriptors);
      expect(await client.receive()).toBeUndefined();
    }
  });

  test.each([
    ['do not know AHEAD', 'ok:9'],
    ['send the namespace itself', 'open:9'],
    ['send the namespace itself', 'own:9'],
  ])('leaves older launchers, which %s (%s), to themselves', async (_, state) => {
    const { connect } = serving(() => Promise.resolve(reply('served')));
    const pod = createNetns();
    onTestFinished(() => pod.remove());
    const client = connect();
    client.request(environment({ FLANNEL_NETNS: state }), '', [pod.fd, pod.fd]);
    expect(await client.receive()).toBeUndefined();
    expect(client.takeBack()).toBe(true);
  });

  test('answers the frames of cni-tool', async () => {
    const handlers = new Map([
      [firstToolFrame, (payload: Buffer) => Promise.resolve(Buffer.from(`<${payload.toString()}>`))],
    ]);
    const { connect } = serving(() => Promise.resolve(reply('')), { handlers });
    const client = connect();
    client.send(firstToolFrame, 'hello');
    expect(await client.receive()).toEqual({ type: firstToolFrame, payload: Buffer.from('<hello>') });
    const other = connect();
    other.send(firstToolFrame + 1, 'hello');
    expect(await other.receive()).toBeUndefined();
  });

  test('survives a request that fails in a way nobody thought of', async () => {
    const errors: string[] = [];
    const log = { ...silentLog, error: (_: object, message: string) => void errors.push(message) };
    const { connect } = serving(() => Promise.reject(new TypeError('oops')), { log });
    const client = connect();
    client.request(environment());
    expect(await client.receive()).toBeUndefined();
    expect(errors).toEqual(['a CNI request failed unexpectedly']);
    const next = connect();
    next.request(environment());
    expect(await next.receive()).toBeUndefined();
  });
});
