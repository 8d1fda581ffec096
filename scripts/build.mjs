// `npm run build`: the programs in build/bin, for hosts that have no Node. With `-- --arm64`, or with
// FLANNELETTE_BUILD_ARM64=1, the same for arm64 in build/arm64/bin. Installs what it lacks; runs on Node 18.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleAll } from './building/bundle.mjs';
import { keepCode } from './building/code.mjs';
import { compileAll } from './building/compile.mjs';
import { placeRuntime } from './building/runtime.mjs';
import { targets } from './building/target.mjs';
import { installDebianPackages } from './debian-packages.mjs';
import { installPackages } from './npm-packages.mjs';
import { main } from './step.mjs';

process.chdir(path.join(path.dirname(fileURLToPath(import.meta.url)), '..'));

function has(program) {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Builds one target. Answers what could not be built, and why. */
async function build(target) {
  console.log(`${target.out}:`);
  if (!has(target.cc)) return [`${target.out}: the compiler ${target.cc} is not installed`];
  await compileAll(target);
  const missing = await bundleAll(`${target.out}/flannelette`);
  try {
    await placeRuntime(target);
  } catch (error) {
    missing.push(`${target.out}/flannelette/node: ${error.message}`);
  }
  if (target.arch === process.arch && missing.length === 0) await keepCode(target);
  return missing;
}

await main(async () => {
  const wantsArm64 = process.argv.includes('--arm64') || process.env.FLANNELETTE_BUILD_ARM64 === '1';
  await installDebianPackages(['runtime', 'build', ...(wantsArm64 ? ['arm64'] : [])]);
  await installPackages();
  const begin = performance.now();
  const missing = await build(targets.x64);
  if (wantsArm64) missing.push(...(await build(targets.arm64)));
  const took = `${((performance.now() - begin) / 1000).toFixed(1)} s`;
  if (missing.length === 0) console.log(`Built in ${took}.`);
  else
    console.error(`Built in ${took}, but not all of it:\n${missing.map((line) => `  ${line}`).join('\n')}`);
  return missing.length === 0 ? 0 : 1;
});
