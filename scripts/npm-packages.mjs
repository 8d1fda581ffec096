// The locked npm packages: installed when node_modules is not what package-lock.json says.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Refusal, environment, root, run, seconds } from './step.mjs';

/** npm writes down in node_modules/.package-lock.json what it has installed; that is compared with the lock. */
export function packagesAreLocked() {
  const installed = packages('node_modules/.package-lock.json');
  const locked = packages('package-lock.json');
  if (installed === undefined || locked === undefined) return false;
  const same = (name) => installed[name]?.integrity === locked[name]?.integrity;
  const wanted = Object.keys(locked).filter((name) => name !== '' && locked[name].optional !== true);
  const node = existsSync(path.join(root, 'node_modules/.bin/node'));
  return node && wanted.every(same) && Object.keys(installed).every(same);
}

function packages(file) {
  try {
    return JSON.parse(readFileSync(path.join(root, file), 'utf8')).packages;
  } catch {
    return undefined;
  }
}

export async function installPackages() {
  if (packagesAreLocked()) return;
  const since = Date.now();
  console.log('Installing the locked npm packages (npm ci, about 500 MB with the pinned Node) ...');
  const npm = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const { NODE_EXTRA_CA_CERTS } = process.env; // the registry may need the certificate that tests do without
  const env = environment(NODE_EXTRA_CA_CERTS === undefined ? {} : { NODE_EXTRA_CA_CERTS });
  const { code } = await run('npm', npm, { show: true, limit: 900, env });
  if (code !== 0)
    throw new Refusal(`npm ci failed (exit ${code}): see its message above; it needs the npm registry.`);
  if (!packagesAreLocked()) {
    throw new Refusal(
      `npm ci left packages that differ from package-lock.json, or no Node for ${process.arch}: only x64 and arm64 are pinned.`,
    );
  }
  console.log(`npm packages installed in ${seconds(since)}`);
}
