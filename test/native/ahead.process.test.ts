import { fstatSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { type Netns, withNetns } from '../kit/netns.ts';
import {
  AHEAD,
  ahead,
  type Conversation,
  type Done,
  type Frame,
  REPLY,
  reply,
  WORK,
  work,
} from './fake-daemon.ts';
import {
  beginning,
  launcherScene,
  type Outcome,
  printed,
  type Talk,
  undone,
  whileStopped,
} from './launcher-scene.ts';
import { exchange, link, message, newAddress, placeOfIndex, sysctls } from './script-lines.ts';

const { launch, launchInside, socket, withDaemon, worked } = launcherScene();

const filter = 'net/ipv4/conf/lo/arp_filter';
const addressesIn = (netns: Netns) => netns.exec('ip', '-brief', 'address', 'show', 'dev', 'lo');
const settingsIn = (netns: Netns, ...paths: string[]) =>
  netns.exec('cat', ...paths.map((path) => `/proc/sys/${path}`));
const addresses = (...numbers: number[]) =>
  Buffer.concat(numbers.map((last) => message('p', newAddress(last))));

/** A conversation that has begun, with an ADD for the pod, and how the launcher ended. */
const add = (pod: Netns, talk: Talk): Promise<Outcome> =>
  withDaemon(beginning(talk), () => launch({ CNI_COMMAND: 'ADD', CNI_NETNS: pod.path }));

describe('work ahead', () => {
  test('is done before the rest is known, and nothing is said of it', async () => {
    await withNetns(async (pod) => {
      const seen: unknown[] = [];
      await add(pod, async (conversation) => {
        await conversation.send(AHEAD, ahead(addresses(1)));
        await expect.poll(() => addressesIn(pod), { timeout: 20_000 }).toContain('192.0.2.1/32');
        const said = conversation.next();
        seen.push(await Promise.race([said, sleep(100, 'nothing')]));
        await conversation.send(WORK, work(addresses(2)));
        seen.push((await said)?.payload.toString('hex'));
        await conversation.send(REPLY, reply(0, ''));
      });
      expect(seen).toEqual(['nothing', '0200000000000000']);
    });
  });

  test('comes before the rest, in order, and its lines are counted with it', async () => {
    await withNetns(async (pod) => {
      const before = [ahead(addresses(7, 3)), ahead(Buffer.alloc(0)), ahead(addresses(9))];
      const { count, errno, outcome } = await worked(
        addresses(1, 5),
        { CNI_NETNS: pod.path },
        { ahead: before },
      );
      expect({ count, errno, outcome }).toEqual({ count: 5, errno: 0, outcome: printed });
      const order = [7, 3, 9, 1, 5].map((last) => `192.0.2.${last}/32`).join(' ');
      expect(await addressesIn(pod)).toContain(order);
    });
  });

  test('of more than fits into a first reading is done as well', async () => {
    await withNetns(async (pod) => {
      const lines = (value: string) => sysctls(Array.from({ length: 1000 }, () => ['p', filter, value]));
      const before = [ahead(lines('5')), ahead(lines('6'))];
      expect(before[0]?.length).toBeGreaterThan(16 * 1024);
      const result = await worked(addresses(1), { CNI_NETNS: pod.path }, { ahead: before });
      expect(result).toMatchObject({ count: 2001, errno: 0, outcome: printed });
      expect(await settingsIn(pod, filter)).toBe('6\n');
    });
  });

  test('finds a link for messages that come later', async () => {
    await withNetns(async (pod) => {
      await pod.exec('ip', 'link', 'add', 'fl-late', 'type', 'bridge');
      const script = message('p', newAddress(1, 0), 0, placeOfIndex);
      const result = await worked(
        script,
        { CNI_NETNS: pod.path },
        { ahead: [ahead(link('p', 'fl-late')), ahead(addresses(2))] },
      );
      expect(result).toMatchObject({ count: 3, errno: 0, outcome: printed });
      expect(await pod.exec('ip', '-brief', 'address', 'show', 'dev', 'fl-late')).toContain('192.0.2.1/32');
    });
  });

  test('exchanges a setting, which is told when all is done', async () => {
    await withNetns(async (pod) => {
      const before = [ahead(exchange(['p', filter, '5'], '0'))];
      const result = await worked(addresses(1), { CNI_NETNS: pod.path }, { ahead: before });
      expect(result).toEqual({ count: 2, errno: 0, answer: Buffer.of(1), outcome: printed });
      expect(await settingsIn(pod, filter)).toBe('5\n');
    });
  });

  test.each([
    ['p', 'h'],
    ['h', 'p'],
  ])('that ends in one place (%s) leaves each line its own', async (last, next) => {
    await withNetns(async (host) => {
      await withNetns(async (pod) => {
        const setting = (place: string, name: string, value: string) =>
          sysctls([[place, `net/ipv4/conf/lo/arp_${name}`, value]], { required: true });
        const before = [
          ahead(Buffer.concat([setting(next, 'ignore', '1'), setting(last, 'filter', '5')])),
          ahead(setting(last, 'notify', '6')),
        ];
        const script = Buffer.concat([setting(next, 'filter', '7'), setting(last, 'ignore', '2')]);
        const run = () => launchInside(host, pod);
        expect(await worked(script, {}, { ahead: before, run })).toMatchObject({
          count: 5,
          outcome: printed,
        });
        const names = ['filter', 'notify', 'ignore'].map((name) => `net/ipv4/conf/lo/arp_${name}`);
        const [one, other] = last === 'p' ? [pod, host] : [host, pod];
        expect(await settingsIn(one, ...names)).toBe('5\n6\n2\n');
        expect(await settingsIn(other, ...names)).toBe('7\n0\n1\n');
      });
    });
  });

  test('is asked for with work of nothing, and the next one is counted from zero', async () => {
    await withNetns(async (pod) => {
      const heard: (Done | undefined)[] = [];
      const outcome = await add(pod, async (conversation) => {
        await conversation.send(AHEAD, ahead(addresses(1, 2)));
        await conversation.send(AHEAD, ahead(sysctls(Array.from({ length: 500 }, () => ['p', filter, '1']))));
        heard.push(await conversation.handOut());
        heard.push(await conversation.handOut(addresses(3)));
        heard.push(await conversation.handOut());
        await conversation.send(REPLY, reply(0, 'late'));
      });
      expect(heard).toMatchObject([502, 1, 0].map((count) => ({ count, errno: 0 })));
      expect(outcome).toMatchObject({ status: 0, stdout: 'late' });
    });
  });

  test('is not done for a daemon that has not begun', async () => {
    await withNetns(async (pod) => {
      const talk = async (conversation: Conversation) => {
        await conversation.next();
        await conversation.send(AHEAD, ahead(addresses(1)));
        expect(await conversation.next()).toBeUndefined();
        expect(conversation.claim()).toBe(false);
      };
      const outcome = await withDaemon(talk, () => launch({ CNI_COMMAND: 'ADD', CNI_NETNS: pod.path }));
      expect(outcome).toMatchObject({ status: 7, stdout: expect.stringContaining('stand-alone') });
      expect(await addressesIn(pod)).not.toContain('192.0.2.');
    });
  });
});

describe('work ahead that fails', () => {
  test('ends all that comes after it; the answer to it comes with what was handed out then', async () => {
    await withNetns(async (pod) => {
      const before = [ahead(addresses(1)), ahead(addresses(1, 2)), ahead(addresses(3))];
      const env = { CNI_NETNS: pod.path };
      const { count, errno, answer, outcome } = await worked(addresses(4), env, { ahead: before });
      expect({ count, errno, outcome }).toEqual({ count: 1, errno: 17, outcome: undone }); // EEXIST
      expect([answer.readUInt16LE(4), answer.readInt32LE(16)]).toEqual([2, -17]);
      expect(await addressesIn(pod)).toMatch(/ 192\.0\.2\.1\/32 *\n/);
    });
  });

  test('with a setting has no answer of the kernel, whatever was sent before', async () => {
    await withNetns(async (pod) => {
      const absent = sysctls([['p', 'net/ipv4/conf/absent/arp_filter', '1']], { required: true });
      const before = [ahead(Buffer.concat([addresses(1), absent])), ahead(addresses(2))];
      const result = await worked(addresses(3), { CNI_NETNS: pod.path }, { ahead: before });
      expect(result).toEqual({ count: 1, errno: 2, answer: Buffer.alloc(0), outcome: undone }); // ENOENT
      expect(await addressesIn(pod)).toMatch(/ 192\.0\.2\.1\/32 *\n/);
    });
  });

  test('is told once: work after that is done', async () => {
    await withNetns(async (pod) => {
      const heard: (Done | undefined)[] = [];
      await add(pod, async (conversation) => {
        await conversation.send(AHEAD, ahead(addresses(1, 1)));
        heard.push(await conversation.handOut());
        await conversation.send(AHEAD, ahead(addresses(2)));
        heard.push(await conversation.handOut(addresses(3)));
        await conversation.send(REPLY, reply(0, ''));
      });
      expect(heard).toMatchObject([
        { count: 1, errno: 17 },
        { count: 2, errno: 0, answer: Buffer.alloc(0) },
      ]);
      expect(await addressesIn(pod)).toContain('192.0.2.1/32 192.0.2.2/32 192.0.2.3/32');
    });
  });

  test('because the time is over is told with the next work', async () => {
    await withNetns(async (pod) => {
      let done: Frame | undefined;
      const talk = beginning(async (conversation) => {
        await whileStopped(conversation.pid, 700, async () => {
          await conversation.send(AHEAD, ahead(addresses(1)));
          await conversation.send(WORK, work(addresses(2), reply(0, 'result')));
        });
        done = await conversation.next();
      });
      const env = { CNI_COMMAND: 'ADD', CNI_NETNS: pod.path, FLANNELD_TIMEOUT_MS: '300' };
      const outcome = await withDaemon(talk, () => launch(env));
      expect(outcome).toMatchObject({ status: 1, stdout: expect.stringContaining('"code":11') });
      expect(done?.payload.toString('hex')).toBe('000000003e000000'); // ETIME
      expect(await addressesIn(pod)).not.toContain('192.0.2.');
    });
  });
});

describe('a DEL whose work ahead was done in the pod', () => {
  const ends: [string, Talk][] = [
    ['dies', async (conversation) => conversation.close()],
    ['hands out nonsense ahead', (conversation) => conversation.send(AHEAD, ahead(Buffer.from('xp')))],
  ];
  test.each(ends)('runs stand-alone in its own namespace when the daemon %s', async (_, end) => {
    await withNetns(async (pod) => {
      const theirs = `net:[${fstatSync(pod.fd).ino}]`;
      let before = '';
      const talk = beginning(async (conversation) => {
        await conversation.send(AHEAD, ahead(sysctls([['p', filter, '5']])));
        await conversation.handOut();
        before = readlinkSync(`/proc/${conversation.pid}/ns/net`);
        await end(conversation);
      });
      const env = { CNI_COMMAND: 'DEL', CNI_NETNS: pod.path, ALSO_TELL: 'readlink /proc/self/ns/net' };
      const { stdout } = await withDaemon(talk, () => launch(env));
      expect(before).toBe(theirs);
      expect(stdout).toBe(
        `stand-alone flannel.cjs 1 2 DEL ${socket}\n${readlinkSync('/proc/self/ns/net')}\n`,
      );
      expect(await settingsIn(pod, filter)).toBe('5\n');
    });
  });
});
