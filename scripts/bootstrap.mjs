// Makes a bare Debian 12 (root, Node 18 or newer, npm) ready. Quick when everything is there.
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { installDebianPackages } from './debian-packages.mjs';
import { installPackages } from './npm-packages.mjs';
import { Refusal, environment, main, root, run, step } from './step.mjs';

/** `needs`: names of groups of Debian packages, and `build` also builds the programs when their sources are newer. */
export async function bootstrap(needs) {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 18)
    throw new Refusal(`Node ${process.versions.node} is too old to begin with: 18 or newer is needed.`);
  if (needs.length > 0 && process.getuid() !== 0) {
    throw new Refusal(
      'Not root: network namespaces and containers need it. Run this as root (npm run check does not).',
    );
  }
  await installDebianPackages(['runtime', ...needs]);
  await installPackages();
  if (needs.includes('build')) await build();
}

export const node = path.join(root, 'node_modules/.bin/node');
const stamp = path.join(root, '.cache/build.stamp');
const programs = ['flannel', 'flanneld', 'cni-tool'].map((name) => path.join(root, 'build/bin', name));

async function build() {
  if (!buildIsStale()) return;
  const result = await step('build', () =>
    run(node, ['scripts/build.mjs'], { limit: 300, env: environment() }),
  );
  if (result.code !== 0) throw new Refusal('The build failed: see above.');
  mkdirSync(path.dirname(stamp), { recursive: true });
  writeFileSync(stamp, '');
}

/** True when a source is newer than the last build, or a program is gone. */
function buildIsStale() {
  if (![stamp, ...programs].every((file) => existsSync(file))) return true;
  const built = statSync(stamp).mtimeMs;
  return ['src', 'native', 'scripts', 'package-lock.json'].some(
    (name) => newest(path.join(root, name)) > built,
  );
}

function newest(file) {
  const { mtimeMs } = statSync(file);
  if (!statSync(file).isDirectory()) return mtimeMs;
  return Math.max(mtimeMs, ...readdirSync(file).map((name) => newest(path.join(file, name))));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(() => bootstrap(['build', 'tests', 'containers']));
}
