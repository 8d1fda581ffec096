import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Machine, nothing, pause, type Scene, ways } from './harness.ts';

/** A small generator with a seed (mulberry32), so that a failure can be played again. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

describe.each(ways)('rough handling, %s', (way) => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await Machine.start(way);
  });
  afterAll(() => machine.stop());

  test('32 ADDs at once, and their DELs', async () => {
    const scene = machine.scene();
    scene.dualStack();
    const pods = Array.from({ length: 32 }, () => machine.pod());
    await Promise.all(pods.map((pod, i) => scene.ok('ADD', { id: `c${i}`, netns: pod.path })));
    expect(scene.reserved()).toHaveLength(64);
    await Promise.all(pods.map((pod, i) => scene.ok('DEL', { id: `c${i}`, netns: pod.path })));
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('kill -9 of the launcher at 50 random moments: DEL leaves nothing', { timeout: 120_000 }, async () => {
    const scene = machine.scene();
    const random = seeded(20261127);
    const span = way === 'warm' ? 12 : 120;
    for (let i = 0; i < 50; i++) {
      const pod = machine.pod();
      const options = { id: `c${i}`, netns: pod.path };
      const child = machine.spawn(scene.environment('ADD', options));
      child.stdin?.on('error', () => {});
      child.stdin?.end(JSON.stringify(scene.conf()));
      const gone = new Promise((resolve) => {
        child.once('close', resolve);
      });
      await pause(random() * span);
      child.kill('SIGKILL');
      await gone;
      await scene.ok('DEL', options);
    }
    expect(await scene.leftovers()).toEqual(nothing);
  });

  if (way === 'warm') killDaemon(() => machine);

  test('a disc that is full', async () => {
    const scene = machine.scene();
    mountTmpfs(scene, 'size=16k,nr_inodes=64');
    // The last page of the disc.
    fs.mkdirSync(scene.addresses, { recursive: true });
    fill(path.join(scene.directory, 'networks', 'filler'));
    const failure = await scene.fails('ADD', { conf: onTmpfs(scene) });
    expect(failure.msg).toMatch(/ENOSPC|no space/i);
    fs.rmSync(path.join(scene.directory, 'networks', 'filler'));
    expect(await scene.leftovers()).toEqual(nothing);
    await scene.ok('ADD', { conf: onTmpfs(scene) });
    await scene.ok('DEL', { conf: onTmpfs(scene) });
  });

  test('a data directory that cannot be written', async () => {
    const scene = machine.scene();
    mountTmpfs(scene, 'ro');
    const failure = await scene.fails('ADD', { conf: onTmpfs(scene) });
    expect(failure.msg).toMatch(/EROFS|read-only|mount it writable/i);
    expect(await scene.ports()).toEqual([]);
  });

  test('state files that are torn', async () => {
    const scene = machine.scene();
    await scene.ok('ADD');
    const records = path.join(scene.directory, 'flannelette', scene.network, 'c1:eth0');
    fs.truncateSync(path.join(scene.dataDir, 'c1'), 5);
    fs.truncateSync(records, 5);
    await scene.ok('DEL');
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('a reservation that is torn', async () => {
    const scene = machine.scene();
    await scene.ok('ADD');
    fs.truncateSync(path.join(scene.addresses, `${scene.v4}.2`), 0);
    await scene.ok('DEL');
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('a request of 10 MB', async () => {
    const scene = machine.scene();
    const conf = { ...scene.conf(), filler: 'x'.repeat(10 * 1024 * 1024) };
    const { code, msg } = await scene.fails('ADD', { conf });
    expect([code, msg]).toEqual([expect.any(Number), expect.stringMatching(/long|large|bytes|MiB/i)]);
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('a request that is nested deeply', async () => {
    const scene = machine.scene();
    const text = JSON.stringify(scene.conf());
    const stdin = `${text.slice(0, -1)},"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    expect(await scene.fails('ADD', { stdin })).toMatchObject({
      code: 6,
      msg: expect.stringMatching(/nested|deep/),
    });
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('a request that is not UTF-8', async () => {
    const scene = machine.scene();
    const stdin = Buffer.concat([Buffer.from('{"name":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    expect(await scene.fails('ADD', { stdin })).toMatchObject({ code: 6 });
  });

  test.each(['../x', 'a/b', '..', '/etc'])(
    'the name %j as network, container and interface',
    async (name) => {
      const scene = machine.scene();
      expect((await scene.fails('ADD', { conf: scene.conf({ name }) })).code).toBe(7);
      expect((await scene.fails('ADD', { id: name })).code).toBe(4);
      expect((await scene.fails('ADD', { ifname: name })).code).toBe(4);
      expect(await scene.leftovers()).toEqual(nothing);
    },
  );

  test.each(['/dev/null', '/etc/passwd', '/proc/self/ns/mnt', '/'])(
    'the namespace path %s',
    async (netns) => {
      const scene = machine.scene();
      const failure = await scene.fails('ADD', { netns });
      expect([3, 8]).toContain(failure.code);
      expect(failure.msg).toContain(netns);
      expect(await scene.leftovers()).toEqual(nothing);
    },
  );
});

/** Only where there is one. */
function killDaemon(get: () => Machine): void {
  test('kill -9 of the daemon at 100 random moments: DEL leaves nothing', { timeout: 240_000 }, async () => {
    const machine = get();
    machine.mayRunAlone();
    const scene = machine.scene();
    const random = seeded(4711);
    for (let i = 0; i < 100; i++) {
      const pod = machine.pod();
      const options = { id: `c${i}`, netns: pod.path };
      const run = scene.run('ADD', options);
      await pause(random() * 10);
      await machine.killDaemon('SIGKILL');
      const { status, stdout } = await run;
      if (status !== 0) expect(JSON.parse(stdout)).toMatchObject({ code: 11 });
      // Every other DEL without a daemon.
      if (i % 2 === 0) await machine.startDaemon();
      await scene.ok('DEL', options);
      if (i % 2 === 1) await machine.startDaemon();
    }
    expect(await scene.leftovers()).toEqual(nothing);
  });
}

/** In the node's directory of addresses; the daemon sees it as well, for it shares the mounts. */
function mountTmpfs(scene: Scene, options: string): void {
  const directory = path.join(scene.directory, 'networks');
  fs.mkdirSync(directory, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory]);
  onTestFinished(() => {
    // Lazily: the daemon keeps the lock open.
    execFileSync('umount', ['--lazy', directory]);
  });
}

/** State and records lie on the same disc. */
const onTmpfs = (scene: Scene) => scene.conf({ dataDir: path.join(scene.directory, 'networks', 'flannel') });

function fill(file: string): void {
  const fd = fs.openSync(file, 'w');
  try {
    for (;;) fs.writeSync(fd, Buffer.alloc(4096));
  } catch (error) {
    expect(error).toHaveProperty('code', 'ENOSPC');
  } finally {
    fs.closeSync(fd);
  }
}
