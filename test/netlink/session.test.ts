import { describe, expect, test } from 'vitest';
import { address } from '../../src/net/address.ts';
import type { Clock } from '../../src/world/clock.ts';
import { systemClock } from '../../src/world/clock.ts';
import * as k from '../../src/netlink/constants.ts';
import { NetlinkError } from '../../src/netlink/error.ts';
import { frames } from '../../src/netlink/message.ts';
import { getLink, link, newLink } from '../../src/netlink/route/link.ts';
import { getRoutes, newRoute, route } from '../../src/netlink/route/route.ts';
import { AsyncSession, SyncSession } from '../../src/netlink/session.ts';
import { buffers } from '../../src/netlink/transaction.ts';
import { FakeKernel } from './fake-kernel.ts';
import { FakeSocket, ScriptedSocket } from './fake-socket.ts';
import { datagram, wireDone, wireError, wireMessage, wireObject } from './wire.ts';

const ENOBUFS = new NetlinkError('recv', 105);
const one = { ifi_index: 1, IFLA_IFNAME: 'lo' };
const object = (seq: number, flags: number = k.NLM_F_MULTI) =>
  wireObject(k.RTM_NEWLINK, seq, link, one, flags);
const routes = (count: number) =>
  Array.from({ length: count }, (_, i) =>
    newRoute({ rtm_family: k.AF_INET, rtm_dst_len: 32, RTA_DST: address(`10.0.${i >> 8}.${i & 255}`) }),
  );

/** Both sessions must do the same: the synchronous one is asked through promises here. */
const kinds = [
  ['SyncSession', (socket: FakeSocket) => asPromises(new SyncSession(socket))],
  ['AsyncSession', (socket: FakeSocket) => new AsyncSession(socket, systemClock)],
] as const;

function asPromises(session: SyncSession): Pick<AsyncSession, 'request' | 'dump' | 'batch'> {
  return {
    request: async (request) => session.request(request),
    dump: async (request) => session.dump(request),
    batch: async (requests) => session.batch(requests),
  };
}

describe.each(kinds)('%s', (_name, open) => {
  test('answers a request with its replies, and throws what the kernel says', async () => {
    const socket = new ScriptedSocket()
      .expect(getLink({ ifi_index: 1 }), (seq) => [object(seq, 0), wireError(seq)])
      .expect(newLink({}), (seq) => [wireError(seq, 17, 'a link of that name exists')]);
    const session = open(socket);
    expect(await session.request(getLink({ ifi_index: 1 }))).toMatchObject([one]);
    await expect(session.request(newLink({}))).rejects.toMatchObject({
      name: 'NetlinkError',
      errno: 17,
      code: 'EEXIST',
      request: 'RTM_NEWLINK',
      kernelSays: 'a link of that name exists',
      message: 'RTM_NEWLINK: EEXIST (file already exists): a link of that name exists',
    });
    socket.assertDone();
  });

  test('passes over answers to earlier requests and notifications', async () => {
    const socket = new ScriptedSocket().expect(getLink(), (seq) => [
      wireError(seq + 1000, 1),
      object(0, 0),
      datagram(object(seq, 0), wireError(seq)),
    ]);
    expect(await open(socket).request(getLink())).toHaveLength(1);
  });

  test('dumps to the end, over several datagrams', async () => {
    const socket = new ScriptedSocket().expect(getLink(), (seq) => [
      datagram(object(seq), object(seq)),
      object(seq),
      datagram(object(seq), wireDone(seq)),
    ]);
    expect(await open(socket).dump(getLink())).toHaveLength(4);
  });

  test('asks again when a dump was interrupted, and gives up when it always is', async () => {
    const socket = new ScriptedSocket()
      .expect(getLink(), (seq) => [
        object(seq),
        object(seq, k.NLM_F_MULTI | k.NLM_F_DUMP_INTR),
        wireDone(seq),
      ])
      .expect(getLink(), (seq) => [object(seq), wireDone(seq)]);
    expect(await open(socket).dump(getLink())).toHaveLength(1);
    socket.assertDone();

    const kernel = new FakeKernel();
    kernel.interruptedDumps = 1000;
    await expect(open(kernel.open()).dump(getLink())).rejects.toMatchObject({ code: 'EINTR' });
    expect(kernel.requests.length).toBeLessThan(50);
  });

  test('honours an error in NLMSG_DONE', async () => {
    const socket = new ScriptedSocket().expect(getLink(), (seq) => [object(seq), wireDone(seq, 12)]);
    await expect(open(socket).dump(getLink())).rejects.toMatchObject({ code: 'ENOMEM' });
  });

  test('a dump survives ENOBUFS and NLMSG_OVERRUN by asking again', async () => {
    const socket = new ScriptedSocket()
      .expect(getLink(), (seq) => [object(seq), ENOBUFS, wireDone(seq)])
      .expect(getLink(), (seq) => [
        object(seq),
        wireMessage(k.NLMSG_OVERRUN, 0, seq, new Uint8Array(0)),
        wireDone(seq),
      ])
      .expect(getLink(), (seq) => [object(seq), wireDone(seq)]);
    expect(await open(socket).dump(getLink())).toHaveLength(1);
    socket.assertDone();
  });

  test('a request whose answer is lost says so, and the next one works', async () => {
    const socket = new ScriptedSocket()
      .expect(getLink(), () => [ENOBUFS])
      .expect(getLink(), (seq) => [object(seq, 0), wireError(seq)]);
    const session = open(socket);
    await expect(session.request(getLink())).rejects.toMatchObject({ code: 'ENOBUFS' });
    expect(await session.request(getLink())).toHaveLength(1);
  });

  test('an answer that cannot be read fails that request alone, after its end', async () => {
    const garbage = (seq: number) => wireMessage(k.RTM_NEWLINK, k.NLM_F_MULTI, seq, new Uint8Array(3));
    const socket = new ScriptedSocket()
      .expect(getLink(), (seq) => [garbage(seq), object(seq), wireDone(seq)])
      .expect(getLink(), (seq) => [object(seq), wireDone(seq)]);
    const session = open(socket);
    await expect(session.dump(getLink())).rejects.toThrow('16 bytes expected, 3 found');
    expect(await session.dump(getLink())).toHaveLength(1);
  });

  test('a batch gives each request its own outcome; only the last asks for an acknowledgement', async () => {
    const flags: number[] = [];
    const socket = new FakeSocket((bytes, socket) => {
      const all = [...frames(bytes)];
      flags.push(...all.map((frame) => frame.flags & k.NLM_F_ACK));
      const [, second, , last] = all;
      socket.push(wireError(second?.seq ?? 0, 17, 'no'), wireError(last?.seq ?? 0));
    });
    const outcomes = await open(socket).batch(routes(4));
    expect(outcomes.map((outcome) => outcome?.code)).toEqual([undefined, 'EEXIST', undefined, undefined]);
    expect(outcomes[1]?.message).toBe('RTM_NEWROUTE: EEXIST (file already exists): no');
    expect(flags).toEqual([0, 0, 0, k.NLM_F_ACK]);
  });

  test('a long batch goes out in buffers of at most 32 KiB, in order', async () => {
    const sizes: number[] = [];
    const kernel = new FakeKernel();
    const inner = kernel.open();
    const socket = new FakeSocket((bytes, outer) => {
      sizes.push(bytes.length);
      inner.send(bytes);
      for (let reply = inner.receive(); reply !== undefined; reply = inner.receive()) outer.push(reply);
    });
    const outcomes = await open(socket).batch(routes(3000));
    expect(outcomes).toHaveLength(3000);
    // No link, no gateway: the kernel refuses each of them by itself.
    expect(outcomes.every((outcome) => outcome?.code === 'ENETUNREACH')).toBe(true);
    expect(sizes.length).toBeGreaterThan(2);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(32 * 1024);
  });

  test('a batch that lost answers does not call a silent request a success', async () => {
    const socket = new FakeSocket((bytes, socket) => {
      const [first] = [...frames(bytes)];
      socket.push(wireError(first?.seq ?? 0, 17), ENOBUFS);
    });
    const outcomes = await open(socket).batch(routes(3));
    expect(outcomes.map((outcome) => outcome?.code)).toEqual(['EEXIST', 'ENOBUFS', 'ENOBUFS']);
  });

  test('an empty batch sends nothing', async () => {
    expect(await open(new ScriptedSocket()).batch([])).toEqual([]);
  });
});

describe('AsyncSession', () => {
  test('serves any number of requests at once, each with its own answer', async () => {
    const kernel = new FakeKernel();
    const session = new AsyncSession(kernel.open(), systemClock);
    const made = Array.from({ length: 2000 }, (_, i) =>
      session.request(newLink({ IFLA_IFNAME: `b${i}`, IFLA_LINKINFO: { IFLA_INFO_KIND: 'bridge' } })),
    );
    const failing = session.request(getLink({ ifi_index: 99_999 }));
    const [links] = await Promise.all([session.dump(getLink()), expect(failing).rejects.toThrow('ENODEV')]);
    await Promise.all(made);
    expect(links).toHaveLength(2001);
  });

  test('close rejects what is pending and what comes after', async () => {
    const session = new AsyncSession(new ScriptedSocket().expect(getLink()), systemClock);
    const pending = session.request(getLink());
    const waiting = session.dump(getLink());
    session.close();
    session.close();
    await expect(pending).rejects.toMatchObject({ code: 'ECANCELED' });
    await expect(waiting).rejects.toMatchObject({ code: 'ECANCELED' });
    await expect(session.batch(routes(1))).rejects.toMatchObject({ code: 'ECANCELED' });
  });

  test('a kernel that does not answer is given up, and the next request has its turn', async () => {
    const timers: (() => void)[] = [];
    const clock: Clock = {
      now: () => 0,
      monotonic: () => 0,
      after: (_ms, callback) => {
        timers.push(callback);
        return () => {};
      },
    };
    const socket = new ScriptedSocket()
      .expect(getLink())
      .expect(getRoutes(), (seq) => [wireObject(k.RTM_NEWROUTE, seq, route, {}), wireDone(seq)]);
    const session = new AsyncSession(socket, clock);
    const silent = session.request(getLink());
    const next = session.dump(getRoutes());
    timers[0]?.();
    await expect(silent).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    expect(await next).toHaveLength(1);
  });

  test('a socket that fails fails the request', async () => {
    const socket = new FakeSocket(() => {
      throw new NetlinkError('send', 105);
    });
    await expect(new AsyncSession(socket, systemClock).request(getLink())).rejects.toThrow('send: ENOBUFS');
  });
});

test('SyncSession gives up a kernel that does not answer', () => {
  expect(() => new SyncSession(new ScriptedSocket().expect(getLink())).request(getLink())).toThrow(
    'ETIMEDOUT',
  );
});

test('buffers holds a request that is larger than a buffer by itself', () => {
  const large = newLink({ IFLA_IFALIAS: 'x'.repeat(40_000) });
  const parts = [...buffers([...routes(2), large, ...routes(1)])];
  expect(parts.map((part) => part.length)).toEqual([2, 1, 1]);
});
