import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { type Netns, withNetns } from '../kit/netns.ts';
import {
  type Conversation,
  DONE,
  FakeDaemon,
  type Frame,
  link,
  message,
  NOT_MINE,
  REPLY,
  REQUEST,
  reply,
  sysctls,
  WORK,
  work,
} from './fake-daemon.ts';

const binding = loadBinding();
const directory = mkdtempSync(path.join(tmpdir(), 'fl-launcher-'));
const launcher = path.join(directory, 'bin', 'flannel');
const socket = path.join(directory, 'flanneld.sock');

/** A runtime that tells how it was started, in place of node, whose options it passes over. */
const runtime = `#!/bin/sh
while [ "\${1#--}" != "$1" ]; do shift; done
echo "stand-alone $(basename "$1") $# $(wc -c | tr -d ' ') $CNI_COMMAND $FLANNELD_SOCKET"
exit 7
`;

beforeAll(() => {
  mkdirSync(path.join(directory, 'bin', 'flannelette'), { recursive: true });
  for (const program of ['flannel', 'flanneld', 'cni-tool'])
    copyFileSync(`build/bin/${program}`, path.join(directory, 'bin', program));
  writeFileSync(path.join(directory, 'bin', 'flannelette', 'node'), runtime, { mode: 0o755 });
  writeFileSync(path.join(directory, 'bin', 'flannelette', 'flannel.cjs'), '');
  writeFileSync(path.join(directory, 'bin', 'flannelette', 'cni-tool.cjs'), '');
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. `stdin` undefined: an input that stays open. */
function execute(program: string[], env: Record<string, string>, stdin?: string | Buffer): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const [file = '', ...args] = program;
    const child = spawn(file, args, { env, stdio: 'pipe' });
    const output = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
    child.stdin.on('error', () => undefined); // the launcher may stop reading
    if (stdin !== undefined) child.stdin.end(stdin);
    child.on('error', reject).on('close', (status) => {
      child.stdin.destroy();
      resolve({ status, ...output });
    });
  });
}

/** Runs the launcher against the fake daemon. */
function launch(env: Record<string, string>, stdin: string | Buffer | undefined = '{}'): Promise<Outcome> {
  return execute([launcher], { PATH: '/usr/bin:/bin', FLANNELD_SOCKET: socket, ...env }, stdin);
}

async function withDaemon<T>(
  talk: (conversation: Conversation) => Promise<void>,
  use: () => Promise<T>,
): Promise<T> {
  const daemon = new FakeDaemon(socket, talk);
  try {
    return await use();
  } finally {
    daemon.close();
    rmSync(socket);
  }
}

/** A daemon that takes the request and begins before it does `rest`. */
function beginning(rest: (conversation: Conversation) => Promise<void>): (c: Conversation) => Promise<void> {
  return async (conversation) => {
    await conversation.next();
    expect(conversation.claim()).toBe(true);
    await rest(conversation);
  };
}

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
    const own = statSync('/proc/self/ns/net');
    expect(request.variables).toEqual({
      ...cni,
      FLANNEL_NETNS: 'absent',
      FLANNEL_OWN_NETNS: `${own.dev}:${own.ino}`,
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
      () => launch({}, undefined),
    );
    expect(request.stderr).toBe('0 undefined');
  });

  test('brings the pod namespace and a netlink socket that lives inside it', async () => {
    await withNetns(async (netns) => {
      await netns.exec('ip', 'link', 'add', 'fl-inside', 'type', 'veth', 'peer', 'fl-peer');
      const seen: unknown[] = [];
      const talk = async (conversation: Conversation) => {
        const { variables } = variablesOf(await conversation.next());
        const [, pod = -1, door = -1] = conversation.descriptors;
        seen.push(/^ok:\d+$/.test(variables['FLANNEL_NETNS'] ?? ''), conversation.descriptors.length);
        seen.push(readlinkSync(`/proc/self/fd/${pod}`) === readlinkSync(`/proc/self/fd/${netns.fd}`));
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
      expect(seen).toEqual([true, 3, true, 48, 1, 16, -11]); // RTM_NEWLINK, then EAGAIN: the socket does not block
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
  const ends: [string, string, (conversation: Conversation) => Promise<void>][] = [
    ['dies', 'it closed the connection', async (c) => c.close()],
    ['falls silent', 'it did not answer within 300 ms', async (c) => void (await c.next())],
    ['talks nonsense', 'it sent a frame that makes no sense here', (c) => c.send(99)],
    ['says "not mine" too late', 'it sent a frame that makes no sense here', (c) => c.send(NOT_MINE)],
    ...[
      Buffer.from('x'),
      Buffer.from('\xff\xff\xff\xff', 'latin1'),
      work(Buffer.from('s')),
      work(Buffer.from('xh')),
      work(Buffer.from('sx\0net/x\x001\0')),
      work(Buffer.from('sh\0net/x\x001')),
      work(link('h', 'a-name-of-16-bytes')),
      work(message('h', Buffer.alloc(15))),
      work(message('h', Buffer.alloc(16), 0, 13)),
      work(message('h', Buffer.alloc(16)).subarray(0, 29)),
    ].map((payload): [string, string, (conversation: Conversation) => Promise<void>] => [
      `hands out work that nobody can read (${payload.toString('hex')})`,
      'it sent work that makes no sense',
      (c) => c.send(WORK, payload),
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

describe('work', () => {
  const newAddress = 20;
  /** A route, of no kind that there is. */
  const nonsense = Buffer.from([28, 0, 0, 0, 24, 0, 5, 6, ...Array.from({ length: 20 }, () => 0)]);

  /** RTM_NEWADDR of 192.0.2.<last> on the link with the index 1, which is lo, unless it says otherwise. */
  function address(last: number, index = 1): Buffer {
    const bytes = Buffer.alloc(40);
    bytes.writeUInt32LE(40, 0);
    bytes.writeUInt16LE(newAddress, 4);
    bytes.writeUInt16LE(0x605, 6); // REQUEST, ACK, CREATE, EXCL
    bytes.writeUInt32LE(last, 8);
    bytes.set([2, 32, 0, 0], 16);
    bytes.writeUInt32LE(index, 20);
    for (const [at, attribute] of [1, 2].entries()) {
      bytes.writeUInt16LE(8, 24 + 8 * at);
      bytes.writeUInt16LE(attribute, 26 + 8 * at);
      bytes.set([192, 0, 2, last], 28 + 8 * at);
    }
    return bytes;
  }

  /** What the daemon hears after it has handed out a script with a reply, and how the launcher ended. */
  async function worked(
    script: Buffer,
    env: Record<string, string>,
    run: () => Promise<Outcome> = () => launch({ CNI_COMMAND: 'ADD', ...env }),
  ): Promise<{ count: number; errno: number; answer: Buffer; outcome: Outcome }> {
    let done: Buffer | undefined;
    const talk = beginning(async (conversation) => {
      await conversation.send(WORK, work(script, reply(0, 'result', 'note')));
      const frame = await conversation.next();
      if (frame?.type === DONE) done = frame.payload;
      await conversation.send(REPLY, reply(1, 'undone')).catch(() => {}); // the launcher may be gone
    });
    const outcome = await withDaemon(talk, run);
    if (done === undefined) throw new Error(`no DONE: ${JSON.stringify(outcome)}`);
    return { count: done.readUInt32LE(0), errno: done.readInt32LE(4), answer: done.subarray(8), outcome };
  }

  const printed = { status: 0, stdout: 'result', stderr: 'note' };
  const undone = { status: 1, stdout: 'undone', stderr: '' };
  const addressesIn = (netns: Netns) => netns.exec('ip', '-brief', 'address', 'show', 'dev', 'lo');

  /** The launcher in a namespace of its own. */
  function inside(host: Netns, pod: Netns): () => Promise<Outcome> {
    const starter = path.join(directory, 'bin', 'inside');
    writeFileSync(starter, `#!/bin/sh\nexec ip netns exec ${host.name} ${launcher}\n`, { mode: 0o755 });
    const env = {
      PATH: process.env['PATH'] ?? '',
      FLANNELD_SOCKET: socket,
      CNI_COMMAND: 'ADD',
      CNI_NETNS: pod.path,
    };
    return () => execute([starter], env, '{}');
  }

  test('is done in the pod and on the host, each in its own namespace, and then the reply is printed', async () => {
    await withNetns(async (host) => {
      await withNetns(async (pod) => {
        const script = Buffer.concat([
          message('p', address(1)),
          sysctls([
            ['p', 'net/ipv4/conf/lo/arp_filter', '1'],
            ['h', 'net/ipv4/conf/lo/arp_notify', '1'],
          ]),
          message('h', address(2)),
          message('p', address(3)),
          sysctls([['p', 'net/ipv4/conf/lo/arp_ignore', '2']]),
        ]);
        const { count, errno, outcome } = await worked(script, {}, inside(host, pod));
        expect({ count, errno, outcome }).toEqual({ count: 6, errno: 0, outcome: printed });
        expect(await addressesIn(pod)).toMatch(/192\.0\.2\.1\/32 192\.0\.2\.3\/32/);
        expect(await addressesIn(host)).toMatch(/ 192\.0\.2\.2\/32/);
        const files = ['filter', 'notify', 'ignore'].map((name) => `/proc/sys/net/ipv4/conf/lo/arp_${name}`);
        expect(await pod.exec('cat', ...files)).toBe('1\n0\n2\n');
        expect(await host.exec('cat', ...files)).toBe('0\n1\n0\n');
      });
    });
  });

  test('ends with the message that the kernel refuses; its answer goes back, and nothing is printed', async () => {
    await withNetns(async (pod) => {
      const script = Buffer.concat([1, 1, 2].map((last) => message('p', address(last))));
      const { count, errno, answer, outcome } = await worked(script, { CNI_NETNS: pod.path });
      expect({ count, errno, outcome }).toEqual({ count: 1, errno: 17, outcome: undone }); // EEXIST
      expect([answer.readUInt16LE(4), answer.readInt32LE(16)]).toEqual([2, -17]);
      expect(await addressesIn(pod)).not.toContain('192.0.2.2');
    });
  });

  test('goes on after an error that is tolerated, and that one alone', async () => {
    await withNetns(async (pod) => {
      const again = (tolerated: number) =>
        Buffer.concat([message('p', address(1)), message('p', address(1), tolerated)]);
      const env = { CNI_NETNS: pod.path };
      expect(await worked(again(17), env)).toMatchObject({ count: 2, errno: 0, outcome: printed });
      expect(await worked(message('p', nonsense, 17), env)).toMatchObject({ count: 0, outcome: undone });
    });
  });

  test('puts the index of a link in, when it was looked for', async () => {
    await withNetns(async (pod) => {
      await pod.exec('ip', 'link', 'add', 'fl-late', 'type', 'bridge');
      const env = { CNI_NETNS: pod.path };
      const script = Buffer.concat([link('p', 'fl-late'), message('p', address(1, 0), 0, 20)]);
      expect(await worked(script, env)).toMatchObject({ count: 2, outcome: printed });
      expect(await pod.exec('ip', '-brief', 'address', 'show', 'dev', 'fl-late')).toContain('192.0.2.1/32');
      expect(await worked(link('p', 'fl-none'), env)).toMatchObject({ count: 0, errno: 19, outcome: undone });
    });
  });

  test('ends with a sysctl that is required and could not be written, and goes on past another', async () => {
    await withNetns(async (pod) => {
      const absent: [string, string, string][] = [['p', 'net/ipv4/conf/absent/arp_filter', '1']];
      const script = (required: boolean) =>
        Buffer.concat([sysctls(absent, { required }), message('p', address(1))]);
      const env = { CNI_NETNS: pod.path };
      expect(await worked(script(true), env)).toMatchObject({ count: 0, errno: 2, outcome: undone });
      expect(await addressesIn(pod)).not.toContain('192.0.2.1');
      expect(await worked(script(false), env)).toMatchObject({ count: 2, errno: 0, outcome: printed });
      expect(await addressesIn(pod)).toContain('192.0.2.1');
    });
  });

  test('is not done by a launcher that was stopped past its time', async () => {
    await withNetns(async (pod) => {
      let done: Frame | undefined;
      const talk = beginning(async (conversation) => {
        const [pid] = binding.peerCredentials(conversation.fd) as [number, number, number];
        process.kill(pid, 'SIGSTOP');
        await conversation.send(WORK, work(message('p', address(1)), reply(0, 'result')));
        await sleep(700);
        process.kill(pid, 'SIGCONT');
        done = await conversation.next();
      });
      const env = { CNI_COMMAND: 'ADD', CNI_NETNS: pod.path, FLANNELD_TIMEOUT_MS: '300' };
      const outcome = await withDaemon(talk, () => launch(env));
      expect(outcome).toMatchObject({ status: 1, stdout: expect.stringContaining('"code":11') });
      expect(done?.payload.toString('hex')).toBe('000000003e000000'); // ETIME
      expect(await addressesIn(pod)).not.toContain('192.0.2.1');
    });
  });

  test.each([
    'kernel/hostname',
    '/proc/sys/net/ipv4/ip_forward',
    'net/../kernel/hostname',
    'net/ipv4/../../kernel/hostname',
    'net/./ipv4/ip_forward',
    'net//ipv4/ip_forward',
    'net/ipv4/..',
    'net/',
    'net',
    'network/x',
    '',
  ])('writes no sysctl outside net/: %j', async (name) => {
    const script = sysctls([['h', name, '1']], { required: true });
    expect(await worked(script, {})).toMatchObject({ count: 0, errno: 13, outcome: undone }); // EACCES
  });

  test.each(['', '/etc/hostname'])('in a pod whose namespace did not open (%j) is EBADF', async (netns) => {
    const env = { CNI_NETNS: netns };
    const sysctl = sysctls([['p', 'net/ipv4/conf/lo/arp_filter', '1']], { required: true });
    for (const script of [sysctl, message('p', address(1)), link('p', 'lo')])
      expect(await worked(script, env)).toMatchObject({ count: 0, errno: 9, outcome: undone });
  });

  test('of nothing is done at once', async () => {
    expect(await worked(Buffer.alloc(0), {})).toMatchObject({ count: 0, errno: 0, outcome: printed });
  });

  test('without a reply is followed by one', async () => {
    const talk = beginning(async (conversation) => {
      await conversation.send(WORK, work(Buffer.alloc(0)));
      const done = await conversation.next();
      await conversation.send(REPLY, reply(0, done?.payload.toString('hex') ?? ''));
    });
    expect(await withDaemon(talk, () => launch({ CNI_COMMAND: 'ADD' }))).toMatchObject({
      status: 0,
      stdout: '0000000000000000',
    });
  });
});

describe('the runtime', () => {
  const hidden = (command: string) => [
    '/usr/bin/unshare',
    '-m',
    '/bin/sh',
    '-c',
    `mount -t tmpfs none /opt && ${command}`,
  ];
  const env = { PATH: '/usr/bin:/bin', FLANNELD_SOCKET: '/nowhere/"quoted"\n.sock', CNI_COMMAND: 'ADD' };

  test('that is missing is an error which names both places', async () => {
    const lonely = path.join(directory, 'lonely');
    mkdirSync(lonely, { recursive: true });
    copyFileSync('build/bin/flannel', path.join(lonely, 'flannel'));
    const outcome = await execute(hidden(`exec ${lonely}/flannel`), env, '{}');
    expect(outcome).toMatchObject({ status: 1, stderr: '' });
    const error = JSON.parse(outcome.stdout) as { details: string };
    expect(error).toMatchObject({ cniVersion: '1.1.0', code: 100 });
    expect(error.details).toContain(`${env.FLANNELD_SOCKET}: No such file or directory`);
    expect(error.details).toContain(`${lonely}/flannelette and /opt/flannelette`);
  });

  test('that cannot be run is an error which says why', async () => {
    const broken = path.join(directory, 'broken');
    mkdirSync(path.join(broken, 'flannelette'), { recursive: true });
    copyFileSync('build/bin/flannel', path.join(broken, 'flannel'));
    writeFileSync(path.join(broken, 'flannelette', 'flannel.cjs'), '');
    writeFileSync(path.join(broken, 'flannelette', 'node'), 'no program', { mode: 0o755 });
    const outcome = await execute([`${broken}/flannel`], env, '{}');
    expect(outcome.status).toBe(1);
    expect(JSON.parse(outcome.stdout)).toMatchObject({
      code: 100,
      details: expect.stringContaining(
        `${broken}/flannelette/node without the daemon failed: Exec format error`,
      ),
    });
  });

  test('in /opt/flannelette serves a launcher that has none beside it', async () => {
    const lonely = path.join(directory, 'lonely');
    const install = `cp -r ${directory}/bin/flannelette /opt/ && exec ${lonely}/flannel`;
    const outcome = await execute(hidden(install), { ...env, FLANNELD_SOCKET: 'none' }, '{}');
    expect(outcome).toEqual({ status: 7, stdout: 'stand-alone flannel.cjs 1 2 ADD none\n', stderr: '' });
  });

  test('is started by flanneld and cni-tool under their own names, wherever they are called from', async () => {
    const link = path.join(directory, 'some-link');
    symlinkSync(path.join(directory, 'bin', 'cni-tool'), link);
    const started = await execute([link, 'lab', '--nodes', '3'], { PATH: '/usr/bin:/bin' }, 'four');
    expect(started).toEqual({ status: 7, stdout: 'stand-alone cni-tool.cjs 4 4  \n', stderr: '' });
    const missing = await execute(hidden(`exec ${directory}/bin/flanneld`), { PATH: '/usr/bin:/bin' }, '');
    expect(missing).toMatchObject({ status: 127, stdout: '' });
    expect(missing.stderr).toContain(`${directory}/bin/flannelette and /opt/flannelette`);
  });

  test('that is built runs with nothing in its environment, and loads the addon beside it', async () => {
    const real = path.join(directory, 'real', 'flannelette');
    mkdirSync(real, { recursive: true });
    copyFileSync('build/bin/flannel', path.join(directory, 'real', 'flannel'));
    for (const file of ['node', 'libatomic.so.1', 'binding.node'])
      symlinkSync(path.resolve('build/bin/flannelette', file), path.join(real, file));
    writeFileSync(
      path.join(real, 'flannel.cjs'),
      `const addon = { exports: {} };
process.dlopen(addon, __dirname + '/binding.node');
console.log(process.version, addon.exports.openNetlink(0, -1) > 2, require('node:fs').readFileSync(0, 'utf8'));`,
    );
    const outcome = await execute(
      [path.join(directory, 'real', 'flannel')],
      { FLANNELD_SOCKET: socket, CNI_COMMAND: 'ADD' },
      '{"a":1}',
    );
    expect(outcome).toEqual({ status: 0, stdout: 'v26.10.0 true {"a":1}\n', stderr: '' });
  });
});

describe('the launcher, built with the address sanitizer', () => {
  const sanitized = path.join(directory, 'bin', 'sanitized');

  beforeAll(() => {
    const sources = ['launcher', 'connection', 'request', 'work', 'sysctls', 'netns', 'runtime'];
    const strict = ['-std=gnu17', '-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
    execFileSync('gcc', [...strict, '-o', sanitized, ...sources.map((name) => `native/${name}.c`)]);
  });

  test('does a request with all its descriptors, a script of every kind of line, and a long reply', async () => {
    await withNetns(async (pod) => {
      // RTM_NEWLINK for the link whose index is put in, and for none.
      const nothing = Buffer.from([32, 0, 0, 0, 16, 0, 5, 0, ...Array.from({ length: 24 }, () => 0)]);
      const script = Buffer.concat([
        sysctls([
          ['p', 'net/ipv4/conf/lo/arp_filter', '1'],
          ['p', 'net/ipv6/conf/lo/accept_ra', '0'],
          ['h', 'net/ipv4/conf/lo/arp_filter', '0'],
          ['p', 'net/ipv6/conf/absent/accept_ra', '0'],
        ]),
        link('p', 'lo'),
        message('p', nothing, 0, 20),
        message('h', nothing, 19),
      ]);
      const long = 'x'.repeat(1 << 20);
      const talk = beginning(async (conversation) => {
        await conversation.send(WORK, work(script));
        const done = await conversation.next();
        await conversation.send(REPLY, reply(0, `${done?.payload.toString('hex', 0, 8)} ${long}`));
      });
      const env = {
        ASAN_OPTIONS: 'detect_leaks=0', // it ends at once, and frees nothing
        PATH: '/usr/bin:/bin',
        FLANNELD_SOCKET: socket,
        CNI_COMMAND: 'ADD',
        CNI_NETNS: pod.path,
      };
      const outcome = await withDaemon(talk, () => execute([sanitized], env, '{}'));
      const stdout = outcome.stdout.slice(0, 18);
      expect({ ...outcome, stdout }).toEqual({ status: 0, stdout: '0700000000000000 x', stderr: '' });
    });
  });
});
