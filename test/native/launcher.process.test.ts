import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { withNetns } from '../kit/netns.ts';
import {
  AHEAD,
  ahead,
  type Conversation,
  type Frame,
  NOT_MINE,
  REPLY,
  REQUEST,
  reply,
  WORK,
  work,
} from './fake-daemon.ts';
import { beginning, execute, launcherScene } from './launcher-scene.ts';
import { link, message, sysctls } from './script-lines.ts';

const binding = loadBinding();
const { directory, launcher, socket, launch, launchInside, withDaemon } = launcherScene();

function variablesOf(frame: Frame | undefined): { variables: Record<string, string>; stdin: Buffer } {
  if (frame?.type !== REQUEST) throw new Error('no REQUEST');
  const end = frame.payload.indexOf('\0\0');
  const lines = frame.payload.toString('utf8', 0, end).split('\0');
  const variables = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
  return { variables, stdin: frame.payload.subarray(end + 2) };
}

/** What the daemon gets from a launcher with this environment. */
async function requestOf(
  env: Record<string, string>,
  stdin?: string | Buffer,
): Promise<ReturnType<typeof variablesOf>> {
  let request: ReturnType<typeof variablesOf> | undefined;
  const talk = async (conversation: Conversation) => {
    request = variablesOf(await conversation.next());
    await conversation.send(REPLY, reply(0, ''));
  };
  const outcome = await withDaemon(talk, () => launch(env, stdin));
  expect(outcome).toEqual({ status: 0, stdout: '', stderr: '' });
  if (request === undefined) throw new Error('no request');
  return request;
}

const alone = (command: string, length = 2) => ({
  status: 7,
  stdout: `stand-alone flannel.cjs 1 ${length} ${command} ${socket}\n`,
  stderr: '',
});

const tryAgain = (details: string) => ({
  status: 1,
  stdout: `{"cniVersion":"1.1.0","code":11,"msg":"flanneld took the request and did not finish it: try again","details":"flanneld at ${socket}: ${details}"}\n`,
  stderr: '',
});

describe('the request', () => {
  test('carries the CNI variables that are set and standard input as it was', async () => {
    const stdin = Buffer.from('{"name":"cbr0\0\xff"}\n\0', 'latin1');
    const cni = {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'c0ffee',
      CNI_NETNS: '',
      CNI_IFNAME: 'eth0',
      CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=a=b',
      CNI_PATH: '/opt/cni/bin',
      CNI_NETNS_OVERRIDE: '1',
    };
    const request = await requestOf({ ...cni, SECRET: 'not sent' }, stdin);
    const [own, mounts] = [statSync('/proc/self/ns/net'), statSync('/proc/self/ns/mnt')];
    expect(request.variables).toEqual({
      ...cni,
      FLANNEL_NETNS: 'absent',
      FLANNEL_OWN_NETNS: `${own.dev}:${own.ino}`,
      FLANNEL_OWN_MNTNS: `${mounts.dev}:${mounts.ino}`,
    });
    expect(request.stdin).toEqual(stdin);
  });

  test('of one megabyte arrives whole', async () => {
    const stdin = Buffer.alloc(1 << 20, 'flannel ');
    expect((await requestOf({ CNI_COMMAND: 'DEL' }, stdin)).stdin.equals(stdin)).toBe(true);
  });

  test('of more than 16 MiB is refused with an error', async () => {
    const outcome = await launch({ CNI_COMMAND: 'ADD' }, Buffer.alloc((16 << 20) + 1, ' '));
    expect(outcome.status).toBe(1);
    expect(JSON.parse(outcome.stdout)).toMatchObject({ code: 5, msg: expect.stringContaining('16 MiB') });
  });

  test('without a verb does not wait for input', async () => {
    const request = await withDaemon(
      async (conversation) => {
        const { variables, stdin } = variablesOf(await conversation.next());
        await conversation.send(REPLY, reply(0, '', `${stdin.length} ${variables['CNI_COMMAND']}`));
      },
      () => execute([launcher], { FLANNELD_SOCKET: socket }), // its input stays open
    );
    expect(request.stderr).toBe('0 undefined');
  });

  test('brings a netlink socket that lives inside the pod namespace, and says which descriptor that is', async () => {
    await withNetns(async (netns) => {
      await netns.exec('ip', 'link', 'add', 'fl-inside', 'type', 'veth', 'peer', 'fl-peer');
      const seen: unknown[] = [];
      const talk = async (conversation: Conversation) => {
        const { variables } = variablesOf(await conversation.next());
        const [, door = -1] = conversation.descriptors;
        const [state, fd] = (variables['FLANNEL_NETNS'] ?? '').split(':');
        seen.push(state, conversation.descriptors.length);
        const there = readlinkSync(`/proc/${conversation.pid}/fd/${fd}`);
        seen.push(there === readlinkSync(`/proc/self/fd/${netns.fd}`));
        // RTM_GETLINK for fl-inside: struct nlmsghdr, struct ifinfomsg, IFLA_IFNAME
        const request = Buffer.alloc(48);
        request.writeUInt32LE(48, 0);
        request.writeUInt16LE(18, 4);
        request.writeUInt16LE(1, 6);
        request.writeUInt16LE(14, 32);
        request.writeUInt16LE(3, 34);
        request.write('fl-inside\0', 36);
        seen.push(binding.send(door, request), binding.poll(door, 5000));
        const answer = Buffer.alloc(32768);
        binding.receive(door, answer);
        seen.push(answer.readUInt16LE(4), binding.receive(door, answer));
        await conversation.send(REPLY, reply(0, ''));
      };
      await withDaemon(talk, () => launch({ CNI_COMMAND: 'ADD', CNI_NETNS: netns.path }));
      expect(seen).toEqual(['open', 2, true, 48, 1, 16, -11]); // RTM_NEWLINK, then EAGAIN: the socket does not block
    });
  });

  test('says that the pod namespace is its own one, under any name, and brings the socket all the same', async () => {
    await withNetns(async (host) => {
      await withNetns(async (pod) => {
        const seen: unknown[] = [];
        const talk = async (conversation: Conversation) => {
          const { variables } = variablesOf(await conversation.next());
          const [state, fd] = (variables['FLANNEL_NETNS'] ?? '').split(':');
          const { dev, ino } = statSync(`/proc/${conversation.pid}/fd/${fd}`);
          const isOwn = variables['FLANNEL_OWN_NETNS'] === `${dev}:${ino}`;
          seen.push([state, conversation.descriptors.length, isOwn]);
          await conversation.send(REPLY, reply(0, ''));
        };
        await withDaemon(talk, async () => {
          await launch({ CNI_COMMAND: 'ADD', CNI_NETNS: '/proc/self/ns/net' });
          await launch({ CNI_COMMAND: 'ADD', CNI_NETNS: `/proc/${process.pid}/ns/net` });
          await launchInside(host, host);
          await launchInside(host, pod);
        });
        const own = ['own', 2, true];
        expect(seen).toEqual([own, own, own, ['open', 2, false]]);
      });
    });
  });

  test.each([
    ['/run/netns/there-is-none', 'missing'],
    ['/etc/hostname/x', 'missing'],
    ['/etc/hostname', 'foreign'],
    ['/proc/uptime', 'foreign'],
    ['/proc/self/ns/mnt', 'foreign'],
    ['fifo', 'foreign'],
    ['loop', 'error:40'],
  ])('says of the namespace path %s: %s', async (name, state) => {
    await execute(['/usr/bin/mkfifo', path.join(directory, 'fifo')], {}, '');
    rmSync(path.join(directory, 'loop'), { force: true });
    symlinkSync('loop', path.join(directory, 'loop'));
    const netns = name.startsWith('/') ? name : path.join(directory, name);
    const { variables } = await requestOf({ CNI_COMMAND: 'DEL', CNI_NETNS: netns });
    expect(variables['FLANNEL_NETNS']).toBe(state);
  });
});

describe('the reply', () => {
  test('is printed and ends the launcher with its status', async () => {
    const talk = async (conversation: Conversation) => {
      await conversation.next();
      await conversation.send(REPLY, reply(3, '{"ips":[]}', 'a warning\n'));
    };
    const outcome = await withDaemon(talk, () => launch({ CNI_COMMAND: 'ADD' }));
    expect(outcome).toEqual({ status: 3, stdout: '{"ips":[]}', stderr: 'a warning\n' });
  });

  test('comes after the daemon has begun as well, and may be long', async () => {
    const long = 'x'.repeat(5 << 20);
    const talk = beginning((conversation) => conversation.send(REPLY, reply(0, long, 'end')));
    const outcome = await withDaemon(talk, () => launch({ CNI_COMMAND: 'ADD' }));
    expect(outcome.stdout === long).toBe(true);
    expect(outcome).toMatchObject({ status: 0, stderr: 'end' });
  });

  test('with a status that is none is a failure', async () => {
    const talk = beginning((conversation) => conversation.send(REPLY, reply(256, '')));
    expect(await withDaemon(talk, () => launch({ CNI_COMMAND: 'ADD' }))).toMatchObject({ status: 1 });
  });
});

describe('the stand-alone program takes over', () => {
  test('when no daemon listens, with all of standard input', async () => {
    expect(await launch({ CNI_COMMAND: 'ADD' }, Buffer.alloc(1 << 20))).toEqual(alone('ADD', 1 << 20));
  });

  test('when the socket was left behind', async () => {
    binding.close(binding.listenUnix(socket, 0o600));
    expect(await launch({ CNI_COMMAND: 'ADD' })).toEqual(alone('ADD'));
    rmSync(socket);
  });

  const before: [string, (conversation: Conversation) => Promise<void>][] = [
    ['the daemon answers "not mine"', (c) => c.send(NOT_MINE, Buffer.from('I cannot see /srv/cni'))],
    ['the daemon goes away', async (c) => c.close()],
    ['the daemon sends a frame of no known type', (c) => c.send(99)],
    [
      'the daemon hands out work and has not begun',
      (c) => c.send(WORK, work(sysctls([['h', 'net/x', '1']]))),
    ],
    [
      'the daemon hands out work ahead and has not begun',
      (c) => c.send(AHEAD, ahead(sysctls([['h', 'net/x', '1']]))),
    ],
    ['the daemon sends a frame that is too long', (c) => c.send(REPLY, Buffer.alloc(8), (16 << 20) + 1)],
    ['the reply is too short', (c) => c.send(REPLY, Buffer.alloc(7))],
    ['the reply tells of more than it has', (c) => c.send(REPLY, Buffer.from([0, 0, 0, 0, 1, 0, 0, 0]))],
  ];
  test.each(before)('when %s', async (_, act) => {
    const talk = async (conversation: Conversation) => {
      await conversation.next();
      await act(conversation);
    };
    expect(await withDaemon(talk, () => launch({ CNI_COMMAND: 'ADD' }))).toEqual(alone('ADD'));
  });

  test('when the daemon does not begin in time; it cannot any more, and the connection is closed', async () => {
    let after: Promise<Frame | undefined> | undefined;
    let begun: boolean | undefined;
    const talk = async (conversation: Conversation) => {
      await conversation.next();
      after = conversation.next();
      await after;
      begun = conversation.claim();
    };
    const outcome = await withDaemon(talk, () => launch({ CNI_COMMAND: 'ADD', FLANNELD_TIMEOUT_MS: '200' }));
    expect(outcome).toMatchObject({ status: 7, stdout: expect.stringContaining('stand-alone') });
    await expect.poll(() => begun).toBe(false);
    expect(after).toBeDefined();
    expect(await after).toBeUndefined();
  });

  test('when the socket is served by somebody who is not root', async () => {
    const open = path.join(directory, 'open');
    mkdirSync(open, { recursive: true });
    chmodSync(directory, 0o755);
    chmodSync(open, 0o777);
    const theirs = path.join(open, 'theirs.sock');
    const script = path.join(open, 'serve.mts');
    writeFileSync(
      script,
      `import { loadBinding } from ${JSON.stringify(path.resolve('native/binding.ts'))};
const binding = loadBinding();
process.setuid(65534);
const fd = binding.listenUnix(${JSON.stringify(theirs)}, 0o666);
binding.watch(fd, () => {
  const connection = binding.acceptUnix(fd);
  setTimeout(() => console.log('heard', binding.receive(connection, Buffer.alloc(100))), 200);
});
console.log('ready');`,
    );
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const said = child.stdout.setEncoding('utf8')[Symbol.asyncIterator]();
    try {
      expect(await said.next()).toMatchObject({ value: 'ready\n' });
      const outcome = await launch({ CNI_COMMAND: 'ADD', FLANNELD_SOCKET: theirs });
      expect(outcome).toMatchObject({ status: 7, stdout: expect.stringContaining('stand-alone') });
      expect(await said.next()).toMatchObject({ value: 'heard 0\n' }); // not a byte of the request
    } finally {
      child.kill();
    }
  });
});

describe('once the daemon has begun', () => {
  type Act = (conversation: Conversation) => Promise<void>;
  const nonsense = [
    Buffer.from('s'),
    Buffer.from('xh'),
    Buffer.from('sx\0net/x\x001\0'),
    Buffer.from('sh\0net/x\x001'),
    Buffer.from('xhnet/x\x000\x001'),
    Buffer.from('xxnet/x\x000\x001\0'),
    link('h', 'a-name-of-16-bytes'),
    message('h', Buffer.alloc(15)),
    message('h', Buffer.alloc(16), 0, 13),
    message('h', Buffer.alloc(16)).subarray(0, 29),
  ];
  const unreadable = [
    ...['', 'x', '\xff\xff\xff\xff'].map((bytes) => ({ type: WORK, payload: Buffer.from(bytes, 'latin1') })),
    ...nonsense.map((script) => ({ type: WORK, payload: work(script) })),
    ...[0, 1, 3].map((length) => ({ type: AHEAD, payload: Buffer.alloc(length) })),
    ...nonsense.map((script) => ({ type: AHEAD, payload: ahead(script) })),
  ];
  const ends: [string, string, Act][] = [
    ['dies', 'it closed the connection', async (c) => c.close()],
    ['falls silent', 'it did not answer within 300 ms', async (c) => void (await c.next())],
    ['talks nonsense', 'it sent a frame that makes no sense here', (c) => c.send(99)],
    ['says "not mine" too late', 'it sent a frame that makes no sense here', (c) => c.send(NOT_MINE)],
    ...unreadable.map(({ type, payload }): [string, string, Act] => [
      `hands out ${type === AHEAD ? 'work ahead' : 'work'} that nobody can read (${payload.toString('hex')})`,
      'it sent work that makes no sense',
      (c) => c.send(type, payload),
    ]),
  ];
  for (const [title, details, act] of ends) {
    const env = { FLANNELD_TIMEOUT_MS: '300' };
    test.each(['ADD', 'CHECK', 'GC', 'STATUS'])(
      `%s is told to try again when the daemon ${title}`,
      async (verb) => {
        const outcome = await withDaemon(beginning(act), () => launch({ ...env, CNI_COMMAND: verb }));
        expect(outcome).toEqual(tryAgain(details));
      },
    );
    test(`DEL runs stand-alone when the daemon ${title}`, async () => {
      const outcome = await withDaemon(beginning(act), () => launch({ ...env, CNI_COMMAND: 'DEL' }));
      expect(outcome).toMatchObject({
        status: 7,
        stdout: expect.stringContaining('stand-alone flannel.cjs 1 2 DEL'),
      });
    });
  }
});

describe('once the daemon has begun, and says so late', () => {
  test('the launcher waits for it', async () => {
    const talk = beginning(async (conversation) => {
      await sleep(1200);
      await conversation.send(REPLY, reply(0, 'late'));
    });
    const env = { CNI_COMMAND: 'ADD', FLANNELD_TIMEOUT_MS: '1000' };
    expect(await withDaemon(talk, () => launch(env))).toMatchObject({ status: 0, stdout: 'late' });
  });
});
