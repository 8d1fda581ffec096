import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Netns, withNetns } from '../kit/netns.ts';
import { AHEAD, ahead, type Conversation, REPLY, reply } from './fake-daemon.ts';
import { beginning, execute, launcherScene } from './launcher-scene.ts';
import { exchange, link, message, type Setting, sysctls } from './script-lines.ts';

const { directory, socket, withDaemon } = launcherScene();

describe('the launcher, built with the address sanitizer', () => {
  const sanitized = path.join(directory, 'bin', 'sanitized');

  beforeAll(() => {
    const sources = ['launcher', 'connection', 'request', 'work', 'sysctls', 'setting', 'netns', 'runtime'];
    const strict = ['-std=gnu17', '-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
    execFileSync('gcc', [...strict, '-o', sanitized, ...sources.map((name) => `native/${name}.c`)]);
  });

  const run = (command: string, pod: Netns) => {
    const cni = { CNI_COMMAND: command, CNI_NETNS: pod.path };
    // It ends at once, and frees nothing.
    const env = { ASAN_OPTIONS: 'detect_leaks=0', PATH: '/usr/bin:/bin', FLANNELD_SOCKET: socket, ...cni };
    return execute([sanitized], env, '{}');
  };

  const filter: Setting = ['p', 'net/ipv4/conf/lo/arp_filter', '1'];
  const ports = 'net/ipv4/ip_local_reserved_ports';
  const portsOf64Bytes = [200, ...Array.from({ length: 10 }, (_, index) => 20_000 + 2 * index)].join(',');
  const longerThanTheFirstReading = sysctls(Array.from({ length: 1000 }, () => filter));
  const exchanges = Buffer.concat([
    exchange(['p', 'net/ipv6/conf/lo/addr_gen_mode', '1'], '0'),
    exchange(['p', 'net/ipv4/conf/lo/arp_filter', '0'], '9'),
    exchange(['p', 'net/ipv4/conf/absent/arp_filter', '0'], '0'),
    sysctls([['p', ports, portsOf64Bytes]], { required: true }),
    exchange(['p', ports, '1'], portsOf64Bytes),
  ]);

  /** From both CPUs that every machine with more than one has. */
  async function handOutAhead(conversation: Conversation): Promise<void> {
    await conversation.send(AHEAD, ahead(longerThanTheFirstReading));
    await conversation.send(AHEAD, ahead(exchanges, 0));
    await conversation.send(AHEAD, ahead(exchanges, 1));
  }

  test('does a request with all its descriptors, a script of every kind of line, and a long reply', async () => {
    await withNetns(async (pod) => {
      // RTM_NEWLINK for the link whose index is put in, and for none.
      const nothing = Buffer.from([32, 0, 0, 0, 16, 0, 5, 0, ...Array.from({ length: 24 }, () => 0)]);
      const script = Buffer.concat([
        sysctls([
          filter,
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
        await handOutAhead(conversation);
        const done = await conversation.handOut(script);
        await conversation.send(REPLY, reply(0, `${done?.count} ${done?.errno} ${long}`));
      });
      const outcome = await withDaemon(talk, () => run('ADD', pod));
      const stdout = outcome.stdout.slice(0, 8);
      expect({ ...outcome, stdout }).toEqual({ status: 0, stdout: '1017 0 x', stderr: '' });
    });
  });

  test('runs stand-alone in the middle of the work', async () => {
    await withNetns(async (pod) => {
      const outcome = await withDaemon(beginning(handOutAhead), () => run('DEL', pod));
      const stdout = `stand-alone flannel.cjs 1 2 DEL ${socket}\n`;
      expect(outcome).toEqual({ status: 7, stdout, stderr: '' });
    });
  });
});
