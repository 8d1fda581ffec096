import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { withNetns } from '../kit/netns.ts';
import { bindingScene } from './binding-scene.ts';
import { linkMessage, netlink, reply } from './route-socket.ts';

const binding = loadBinding();
const { errno } = constants;
const { directory, runScript } = bindingScene();

/** How many threads of the addon's run in this process. */
function sendThreads(): number {
  return readdirSync('/proc/self/task').filter((task) => {
    return readFileSync(`/proc/self/task/${task}/comm`, 'utf8') === 'flannel-send\n';
  }).length;
}

describe('sendThreaded', () => {
  test('the event loop runs while the kernel takes links away; at most 16 threads, all answer', async () => {
    await withNetns(async (netns) => {
      const names = Array.from({ length: 40 }, (_, index) => `fl-${index}`);
      const batch = names.map((name) => `link add ${name} type veth peer ${name}p\n`).join('');
      writeFileSync(path.join(directory, 'batch'), batch);
      await netns.exec('ip', '-batch', path.join(directory, 'batch'));
      let turns = 0;
      let running = true;
      const turn = (): void => {
        turns++;
        if (running) setImmediate(turn);
      };
      setImmediate(turn);
      const sockets = names.map(() => netlink(netns.fd));
      const lengths = await Promise.all(
        sockets.map(({ fd }, index) => {
          const message = linkMessage(17, names[index] ?? '');
          return new Promise<boolean>((resolve) => {
            binding.sendThreaded(fd, message, (sent) => resolve(sent === message.length));
            message.fill(0); // it was copied
          });
        }),
      );
      running = false;
      expect(lengths.every(Boolean)).toBe(true);
      expect(turns).toBeGreaterThan(0);
      expect(sendThreads()).toBeGreaterThan(0);
      expect(sendThreads()).toBeLessThanOrEqual(16);
      for (const socket of sockets) {
        expect(reply(socket.fd)).toMatchObject({ type: 2, error: 0 });
        socket[Symbol.dispose]();
      }
      expect(await netns.json('ip', 'link', 'show', 'type', 'veth')).toEqual([]);
    });
  });

  test('an error comes as -errno; a throwing callback is an uncaughtException; the process ends by itself', async () => {
    const { status, stdout } = await runScript(`
process.on('uncaughtException', (error) => console.log('caught', error.message));
binding.sendThreaded(9999, Buffer.alloc(1), (result) => { throw new Error('result ' + result); });`);
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'caught result -9\n' });
  });
});

test('sendThreaded where no thread may be started answers EAGAIN', async () => {
  const { status, stdout } = await runScript(`
import { execFileSync } from 'node:child_process';
process.setuid(65534); // root has no limit of processes
execFileSync('prlimit', ['--pid', String(process.pid), '--nproc=1']);
binding.sendThreaded(1, Buffer.alloc(1), (result) => console.log(result));`);
  expect({ status, stdout }).toEqual({ status: 0, stdout: `${-errno.EAGAIN}\n` });
});

test('a worker that is terminated while it watches and sends leaves no thread, no descriptor and no crash', async () => {
  const { status, stdout, stderr } = await runScript(`
import { Worker, isMainThread, workerData, parentPort } from 'node:worker_threads';
import { readdirSync, readFileSync } from 'node:fs';
const own = () => readdirSync('/proc/self/task')
  .filter((task) => readFileSync('/proc/self/task/' + task + '/comm', 'utf8') === 'flannel-send\\n').length;
const request = Buffer.from('1400000012000103070000000000000000000000', 'hex');
if (isMainThread) {
  const round = async () => {
    const fds = [binding.openNetlink(0, -1), binding.openNetlink(0, -1)];
    const worker = new Worker(new URL(import.meta.url), { workerData: fds });
    await new Promise((resolve) => worker.once('message', resolve));
    await worker.terminate();
    for (const fd of fds) binding.close(fd);
  };
  await round();
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 20; i++) await round();
  console.log('threads', own(), 'descriptors', readdirSync('/proc/self/fd').length - before);
} else {
  const [watched, sending] = workerData;
  const buffer = Buffer.alloc(65536);
  let calls = 0;
  binding.watch(watched, () => {
    while (binding.receive(watched, buffer) > 0);
    binding.send(watched, request);
    if (++calls === 3) parentPort.postMessage('busy');
    if (calls > 3 && calls % 2 === 0) for (;;); // terminated in the middle of a callback
  });
  const again = () => {
    while (binding.receive(sending, buffer) > 0);
    binding.sendThreaded(sending, request, again);
  };
  for (let i = 0; i < 20; i++) again();
  binding.send(watched, request);
}`);
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'threads 0 descriptors 0\n', stderr: '' });
});
