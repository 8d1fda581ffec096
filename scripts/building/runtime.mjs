import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
} from 'node:fs';
import path from 'node:path';
import { step } from './step.mjs';
import { addonOf } from './target.mjs';

/** Puts a file in place at once; the runtime, 150 MB, as a hard link where that works. */
function place(from, to) {
  const fresh = `${to}.${process.pid}`;
  const link = path.basename(from) === 'node' ? linkSync : copyFileSync;
  try {
    link(from, fresh);
  } catch {
    copyFileSync(from, fresh);
  }
  renameSync(fresh, to);
  rmSync(fresh, { force: true }); // rename(2) does nothing when both are links to one file already
}

/**
 * Fetches a runtime that npm leaves out because it is for another machine: the very package that the
 * lockfile names, refused unless its hash is the lockfile's. Answers the path of its node.
 */
function fetchRuntime(name) {
  const { version, integrity } = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages[
    `node_modules/${name}`
  ];
  const directory = `build/cache/${name}-${version}`;
  if (!existsSync(directory)) {
    const fresh = `${directory}.${process.pid}`;
    mkdirSync(fresh, { recursive: true });
    unpackRuntime(`${name}@${version}`, integrity, fresh);
    renameSync(fresh, directory);
  }
  return `${directory}/package/bin/node`;
}

function unpackRuntime(spec, integrity, directory) {
  const pack = ['pack', spec, '--silent', '--pack-destination', directory];
  execFileSync('npm', pack, { stdio: ['ignore', 'ignore', 'inherit'] });
  const archive = path.join(directory, readdirSync(directory)[0]);
  const [algorithm] = integrity.split('-');
  const got = `${algorithm}-${createHash(algorithm).update(readFileSync(archive)).digest('base64')}`;
  if (got !== integrity) throw new Error(`${spec} has the hash ${got}, the lockfile says ${integrity}`);
  execFileSync('tar', ['-xzf', archive, '-C', directory, 'package/bin/node']);
  rmSync(archive);
}

/** The path of the target's node; throws an Error when it cannot be had. */
function runtimeOf(target) {
  const installed = `node_modules/${target.runtimePackage}/bin/node`;
  return existsSync(installed) ? installed : fetchRuntime(target.runtimePackage);
}

/** node needs libatomic.so.1, which hosts without a compiler often lack. The compiler's own copy goes along. */
function libatomicOf(target) {
  const answer = execFileSync(target.cc, ['-print-file-name=libatomic.so.1'], { encoding: 'utf8' }).trim();
  if (!path.isAbsolute(answer))
    throw new Error(`${target.cc} has no libatomic.so.1: install the package libatomic1`);
  return realpathSync(answer);
}

/** Puts node, its library and the addon into `flannelette/`, beside the bundles. */
export async function placeRuntime(target) {
  const directory = `${target.out}/flannelette`;
  const node = runtimeOf(target);
  const files = [
    [node, `${directory}/node`],
    [libatomicOf(target), `${directory}/libatomic.so.1`],
    [addonOf(target), `${directory}/binding.node`],
  ];
  await step({
    title: `runtime, libatomic and addon in ${directory}`,
    inputs: [addonOf(target), 'package-lock.json'],
    recipe: files.join(' '),
    outputs: files.map(([, to]) => to),
    make: () => {
      for (const [from, to] of files) place(from, to);
    },
  });
}
