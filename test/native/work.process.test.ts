import { hostname } from 'node:os';
import { describe, expect, test } from 'vitest';
import { type Netns, withNetns } from '../kit/netns.ts';
import { type Frame, REPLY, reply, WORK, work } from './fake-daemon.ts';
import { beginning, execute, launcherScene, printed, undone, whileStopped } from './launcher-scene.ts';
import { exchange, link, message, newAddress, placeOfIndex, sysctls } from './script-lines.ts';

/** RTM_NEWROUTE that no kernel takes. */
const routeOfNoKind = Buffer.from([28, 0, 0, 0, 24, 0, 5, 6, ...Array.from({ length: 20 }, () => 0)]);

const { launch, launcher, launchInside, socket, withDaemon, worked } = launcherScene();

const notExchanged = { count: 1, errno: 0, answer: Buffer.alloc(0), outcome: printed };

describe('work', () => {
  const addressesIn = (netns: Netns) => netns.exec('ip', '-brief', 'address', 'show', 'dev', 'lo');

  test('is done in the pod and on the host, each in its own namespace, and then the reply is printed', async () => {
    await withNetns(async (host) => {
      await withNetns(async (pod) => {
        const script = Buffer.concat([
          message('p', newAddress(1)),
          sysctls([
            ['p', 'net/ipv4/conf/lo/arp_filter', '1'],
            ['h', 'net/ipv4/conf/lo/arp_notify', '1'],
          ]),
          message('h', newAddress(2)),
          message('p', newAddress(3)),
          sysctls([['p', 'net/ipv4/conf/lo/arp_ignore', '2']]),
        ]);
        const { count, errno, outcome } = await worked(script, {}, { run: () => launchInside(host, pod) });
        expect({ count, errno, outcome }).toEqual({ count: 6, errno: 0, outcome: printed });
        expect(await addressesIn(pod)).toMatch(/192\.0\.2\.1\/32 192\.0\.2\.3\/32/);
        expect(await addressesIn(host)).toMatch(/ 192\.0\.2\.2\/32/);
        const files = ['filter', 'notify', 'ignore'].map((name) => `/proc/sys/net/ipv4/conf/lo/arp_${name}`);
        expect(await pod.exec('cat', ...files)).toBe('1\n0\n2\n');
        expect(await host.exec('cat', ...files)).toBe('0\n1\n0\n');
      });
    });
  });

  test('is not told of when its reply is a failure or cannot be printed: the daemon loses the connection', async () => {
    for (const [status, output] of [
      [3, '/dev/null'],
      [0, '/dev/full'],
    ] as const) {
      const heard: unknown[] = [];
      const talk = beginning(async (conversation) => {
        await conversation.send(WORK, work(Buffer.alloc(0), reply(status, 'result')));
        heard.push(await conversation.next());
      });
      const command = ['sh', '-c', `exec ${launcher} > ${output}`];
      const env = { PATH: '/usr/bin:/bin', FLANNELD_SOCKET: socket, CNI_COMMAND: 'ADD' };
      const outcome = await withDaemon(talk, () => execute(command, env, '{}'));
      expect([outcome.status, heard]).toEqual([status || 1, [undefined]]);
    }
  });

  test('ends with the message that the kernel refuses; its answer goes back, and nothing is printed', async () => {
    await withNetns(async (pod) => {
      const script = Buffer.concat([1, 1, 2].map((last) => message('p', newAddress(last))));
      const { count, errno, answer, outcome } = await worked(script, { CNI_NETNS: pod.path });
      expect({ count, errno, outcome }).toEqual({ count: 1, errno: 17, outcome: undone }); // EEXIST
      expect([answer.readUInt16LE(4), answer.readInt32LE(16)]).toEqual([2, -17]);
      expect(await addressesIn(pod)).not.toContain('192.0.2.2');
    });
  });

  test('goes on after an error that is tolerated, and that one alone', async () => {
    await withNetns(async (pod) => {
      const again = (tolerated: number) =>
        Buffer.concat([message('p', newAddress(1)), message('p', newAddress(1), tolerated)]);
      const env = { CNI_NETNS: pod.path };
      expect(await worked(again(17), env)).toMatchObject({ count: 2, errno: 0, outcome: printed });
      expect(await worked(message('p', routeOfNoKind, 17), env)).toMatchObject({ count: 0, outcome: undone });
    });
  });

  test('puts the index of a link in, when it was looked for', async () => {
    await withNetns(async (pod) => {
      await pod.exec('ip', 'link', 'add', 'fl-late', 'type', 'bridge');
      const env = { CNI_NETNS: pod.path };
      const script = Buffer.concat([link('p', 'fl-late'), message('p', newAddress(1, 0), 0, placeOfIndex)]);
      expect(await worked(script, env)).toMatchObject({ count: 2, outcome: printed });
      expect(await pod.exec('ip', '-brief', 'address', 'show', 'dev', 'fl-late')).toContain('192.0.2.1/32');
      expect(await worked(link('p', 'fl-none'), env)).toMatchObject({ count: 0, errno: 19, outcome: undone });
    });
  });

  test('ends with a sysctl that is required and could not be written, and goes on past another', async () => {
    await withNetns(async (pod) => {
      const absent: [string, string, string][] = [['p', 'net/ipv4/conf/absent/arp_filter', '1']];
      const script = (required: boolean) =>
        Buffer.concat([sysctls(absent, { required }), message('p', newAddress(1))]);
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
        await whileStopped(conversation.pid, 700, () =>
          conversation.send(WORK, work(message('p', newAddress(1)), reply(0, 'result'))),
        );
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
    await withNetns(async (pod) => {
      const harmless = hostname(); // should it be written after all
      const script = sysctls([['p', name, harmless]], { required: true });
      const result = await worked(script, { CNI_NETNS: pod.path });
      expect(result).toMatchObject({ count: 0, errno: 13, outcome: undone }); // EACCES
      const other = exchange(['p', name, harmless], harmless);
      expect(await worked(other, { CNI_NETNS: pod.path })).toEqual(notExchanged);
    });
  });

  test.each(['', '/etc/hostname'])('in a pod whose namespace did not open (%j) is EBADF', async (netns) => {
    const env = { CNI_NETNS: netns };
    const sysctl = sysctls([['p', 'net/ipv4/conf/lo/arp_filter', '1']], { required: true });
    const other = exchange(['p', 'net/ipv4/conf/lo/arp_filter', '1'], '0');
    for (const script of [sysctl, other, message('p', newAddress(1)), link('p', 'lo')])
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

describe('a setting that is exchanged', () => {
  test.each([
    ['net/ipv4/conf/lo/arp_filter', '7', '5'],
    ['net/ipv6/conf/lo/addr_gen_mode', '0', '1'],
  ])('has the new value, and the daemon hears of it: %s', async (path, before, value) => {
    await withNetns(async (pod) => {
      await pod.exec('sysctl', '-qw', `${path}=${before}`);
      const result = await worked(exchange(['p', path, value], before), { CNI_NETNS: pod.path });
      expect(result).toEqual({ count: 1, errno: 0, answer: Buffer.of(1), outcome: printed });
      expect(await pod.exec('cat', `/proc/sys/${path}`)).toBe(`${value}\n`);
    });
  });

  const filter = 'net/ipv4/conf/lo/arp_filter';
  const ports = 'net/ipv4/ip_local_reserved_ports';
  const many = Array.from({ length: 20 }, (_, index) => 20_000 + 2 * index).join(',');
  test.each([
    ['is another', filter, '8', '7', '5'],
    ['only begins with it', filter, '77', '7', '5'],
    ['is only the beginning of it', filter, '7', '77', '5'],
    ['is longer than any that is looked for', ports, many, many, '1'],
    ['does not take the new one', filter, '7', '7', 'five'],
  ])('stays where the value %s', async (_, path, there, before, value) => {
    await withNetns(async (pod) => {
      await pod.exec('sysctl', '-qw', `${path}=${there}`);
      const script = exchange(['p', path, value], before);
      expect(await worked(script, { CNI_NETNS: pod.path })).toEqual(notExchanged);
      expect(await pod.exec('cat', `/proc/sys/${path}`)).toBe(`${there}\n`);
    });
  });

  test('need not be there', async () => {
    await withNetns(async (pod) => {
      const script = exchange(['p', 'net/ipv4/conf/absent/arp_filter', '5'], '0');
      expect(await worked(script, { CNI_NETNS: pod.path })).toEqual(notExchanged);
    });
  });
});
