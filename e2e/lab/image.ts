import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { binary, cache } from './binary.ts';
import { command } from './command.ts';

/** The image of the lab's pods: `/pause` for the sandbox, and busybox for what a test runs. */
export const imageName = 'flannelette.test/pod:1';

/** A docker archive of it (what `docker save` makes), built from files of this machine; kept in .cache. */
export async function imageArchive(): Promise<string> {
  const pause = await binary('pause');
  return keptArchive(imageName, [readFileSync('/bin/busybox'), path.basename(pause)], async (root) => {
    await rootFiles(root);
    copyFileSync(pause, path.join(root, 'pause'));
  });
}

/** An archive of the image that `fill` makes the files of; kept in .cache under the hash of what it depends on. */
export async function keptArchive(
  name: string,
  inputs: readonly (Buffer | string)[],
  fill: (root: string) => Promise<void>,
): Promise<string> {
  const hash = createHash('sha256');
  for (const input of [name, ...inputs]) hash.update(input).update('\0');
  const short = name.replace(/.*\/|:.*/g, '');
  const archive = path.join(cache, `image-${short}-${hash.digest('hex').slice(0, 12)}.tar`);
  if (existsSync(archive)) return archive;
  for (const old of readdirSync(cache).filter((file) => file.startsWith(`image-${short}-`)))
    rmSync(path.join(cache, old), { recursive: true });
  const scratch = mkdtempSync(path.join(cache, 'scratch-'));
  try {
    mkdirSync(path.join(scratch, 'root'));
    await fill(path.join(scratch, 'root'));
    await buildArchive(scratch, name, `${scratch}/archive.tar`);
    renameSync(`${scratch}/archive.tar`, archive);
  } finally {
    rmSync(scratch, { recursive: true });
  }
  return archive;
}

async function buildArchive(scratch: string, tag: string, archive: string): Promise<void> {
  const owner = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
  await command('tar', [...owner, '-cf', `${scratch}/layer.tar`, '-C', `${scratch}/root`, '.']);
  const sha256 = (data: Buffer | string) => createHash('sha256').update(data).digest('hex');
  const created = '1970-01-01T00:00:00Z';
  const configuration = JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    created,
    config: { Cmd: ['/pause'], Env: ['PATH=/usr/sbin:/bin'], WorkingDir: '/' },
    rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(readFileSync(`${scratch}/layer.tar`))}`] },
    history: [{ created }],
  });
  const name = `${sha256(configuration)}.json`;
  writeFileSync(path.join(scratch, name), configuration);
  const manifest = [{ Config: name, RepoTags: [tag], Layers: ['layer.tar'] }];
  writeFileSync(`${scratch}/manifest.json`, JSON.stringify(manifest));
  await command('tar', ['-cf', archive, '-C', scratch, 'manifest.json', name, 'layer.tar']);
}

/** Busybox with all its names, and the directories that a container needs. */
export async function rootFiles(root: string): Promise<void> {
  for (const name of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp'])
    mkdirSync(path.join(root, name), { recursive: true });
  copyFileSync('/bin/busybox', path.join(root, 'bin/busybox'));
  const applets = (await command('/bin/busybox', ['--list'])).trim().split('\n');
  for (const name of applets) if (name !== 'busybox') symlinkSync('busybox', path.join(root, 'bin', name));
  writeFileSync(path.join(root, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n');
  writeFileSync(path.join(root, 'etc/group'), 'root:x:0:\n');
}
