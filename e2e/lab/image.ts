import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { binary, cache } from './binary.ts';
import { command } from './command.ts';

/** The one image of the lab: `/pause` for the sandbox, and busybox for what a test runs. */
export const imageName = 'flannelette.test/pod:1';

/** A docker archive of the image (what `docker save` makes), built from files of this machine; kept in .cache. */
export async function imageArchive(): Promise<string> {
  const pause = await binary('pause');
  const busybox = readFileSync('/bin/busybox');
  const hash = createHash('sha256').update(busybox).update(path.basename(pause)).digest('hex').slice(0, 12);
  const archive = path.join(cache, `image-${hash}.tar`);
  if (existsSync(archive)) return archive;
  const scratch = mkdtempSync(path.join(cache, 'image-'));
  try {
    await buildArchive(scratch, pause, `${scratch}/archive.tar`);
    renameSync(`${scratch}/archive.tar`, archive);
  } finally {
    rmSync(scratch, { recursive: true });
  }
  return archive;
}

async function buildArchive(scratch: string, pause: string, archive: string): Promise<void> {
  await rootFiles(path.join(scratch, 'root'), pause);
  const owner = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
  await command('tar', [...owner, '-cf', `${scratch}/layer.tar`, '-C', `${scratch}/root`, '.']);
  const sha256 = (data: Buffer | string) => createHash('sha256').update(data).digest('hex');
  const created = '1970-01-01T00:00:00Z';
  const configuration = JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    created,
    config: { Cmd: ['/pause'], Env: ['PATH=/bin'], WorkingDir: '/' },
    rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(readFileSync(`${scratch}/layer.tar`))}`] },
    history: [{ created }],
  });
  const name = `${sha256(configuration)}.json`;
  writeFileSync(path.join(scratch, name), configuration);
  const manifest = [{ Config: name, RepoTags: [imageName], Layers: ['layer.tar'] }];
  writeFileSync(`${scratch}/manifest.json`, JSON.stringify(manifest));
  await command('tar', ['-cf', archive, '-C', scratch, 'manifest.json', name, 'layer.tar']);
}

async function rootFiles(root: string, pause: string): Promise<void> {
  for (const name of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp'])
    mkdirSync(path.join(root, name), { recursive: true });
  copyFileSync(pause, path.join(root, 'pause'));
  copyFileSync('/bin/busybox', path.join(root, 'bin/busybox'));
  const applets = (await command('/bin/busybox', ['--list'])).trim().split('\n');
  for (const name of applets) if (name !== 'busybox') symlinkSync('busybox', path.join(root, 'bin', name));
  writeFileSync(path.join(root, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n');
  writeFileSync(path.join(root, 'etc/group'), 'root:x:0:\n');
}
