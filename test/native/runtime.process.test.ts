import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { execute, launcherScene } from './launcher-scene.ts';

const { directory, socket } = launcherScene();

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
    for (const file of ['flannel.js', 'flannel.cjs'])
      writeFileSync(path.join(broken, 'flannelette', file), '');
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
    copyFileSync('scripts/building/start.cjs', path.join(real, 'flannel.cjs'));
    writeFileSync(
      path.join(real, 'flannel.js'),
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
