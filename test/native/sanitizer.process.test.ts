import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { withNetns } from '../kit/netns.ts';
import { REPLY, reply, WORK, work } from './fake-daemon.ts';
import { beginning, execute, launcherScene } from './launcher-scene.ts';
import { link, message, sysctls } from './script-lines.ts';

const { directory, socket, withDaemon } = launcherScene();

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
