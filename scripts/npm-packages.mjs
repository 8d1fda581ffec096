// The locked npm packages: installed when node_modules is not what package-lock.json says.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import path from 'node:path';
import { Refusal, environment, root, run, seconds } from './step.mjs';

const pinned = path.join(root, `node_modules/node-linux-${process.arch}/bin/node`);
const link = path.join(root, 'node_modules/.bin/node');

/** npm writes down in node_modules/.package-lock.json what it has installed; that is compared with the lock. */
function packagesAreLocked() {
  const installed = packages('node_modules/.package-lock.json');
  const locked = packages('package-lock.json');
  if (installed === undefined || locked === undefined) return false;
  const same = (name) => installed[name]?.integrity === locked[name]?.integrity;
  const wanted = Object.keys(locked).filter((name) => name !== '' && isForThisMachine(locked[name]));
  return existsSync(link) && wanted.every(same) && Object.keys(installed).every(same);
}

function packages(file) {
  try {
    return JSON.parse(readFileSync(path.join(root, file), 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/** An optional package is a program for one kind of machine. */
function isForThisMachine({ optional, os, cpu, libc }) {
  if (optional !== true) return true;
  const fits = (list, own) => list === undefined || [list].flat().includes(own);
  return cpu !== undefined && fits(os, 'linux') && fits(cpu, process.arch) && fits(libc, 'glibc');
}

export async function installPackages() {
  if (packagesAreLocked()) return;
  const since = Date.now();
  console.log('Installing the locked npm packages (npm ci, about 500 MB with the pinned Node) ...');
  // npm leaves out optional packages that want a newer Node than its own: an old one only fetches the pinned Node
  const old = Number(process.versions.node.split('.')[0]) < 20;
  await npm(['npm'], old ? ['--omit=dev'] : []);
  if (!packagesAreLocked()) await npmByPinnedNode();
  if (!packagesAreLocked()) {
    throw new Refusal(
      `npm ci left packages that differ from package-lock.json, or no Node for ${process.arch}: only x64 and arm64 are pinned.`,
    );
  }
  console.log(`npm packages installed in ${seconds(since)}`);
}

/** The same npm, run by a copy of the pinned Node: npm ci begins by removing node_modules. */
async function npmByPinnedNode() {
  if (!existsSync(pinned)) return;
  const copy = path.join(root, '.cache/node');
  mkdirSync(path.dirname(copy), { recursive: true });
  copyFileSync(pinned, copy);
  const directories = environment().PATH.split(':');
  const found = directories.map((directory) => path.join(directory, 'npm')).find((file) => existsSync(file));
  await npm([copy, process.env.npm_execpath ?? realpathSync(found)], []);
  rmSync(copy);
}

async function npm([program, ...before], more) {
  // no package has a script that matters (docs/decisions/0001), and an old npm would run them all
  const args = [...before, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', ...more];
  const { NODE_EXTRA_CA_CERTS } = process.env; // the registry may need the certificate that tests do without
  const env = environment(NODE_EXTRA_CA_CERTS === undefined ? {} : { NODE_EXTRA_CA_CERTS });
  const { code } = await run(program, args, { show: true, limit: 900, env });
  if (code !== 0)
    throw new Refusal(`npm ci failed (exit ${code}): see its message above; it needs the npm registry.`);
  // npm 9 (Debian 12) makes no link for this program when scripts are ignored
  if (existsSync(pinned) && !existsSync(link)) {
    mkdirSync(path.dirname(link), { recursive: true });
    symlinkSync(path.relative(path.dirname(link), pinned), link);
  }
}
