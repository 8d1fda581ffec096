// npm run check: what can be said about the code without root, in under ten seconds.
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { bootstrap, node } from './bootstrap.mjs';
import { main, root, run, step, vitestCommand } from './step.mjs';

const bin = (name) => path.join(root, 'node_modules/.bin', name);

/** Runs all the steps side by side; returns the results of `step`, in order. */
export async function check({ vitest = [] } = {}) {
  const report =
    process.env.FLANNELETTE_TEST_REPORT === undefined ? [] : ['--reporter=./scripts/test-report.mjs'];
  const none = vitest.length > 0 ? ['--passWithNoTests'] : []; // a pattern may be meant for another stage
  const reporters = ['--reporter=dot', ...report, ...none];
  // More than there are cores: a good part of the time they wait, for connections that are to time out and the like.
  const pure = [...vitestCommand, '--project', 'pure', '--maxWorkers=3', ...reporters, ...vitest];
  const steps = {
    // What has not changed is not looked at again: a second instead of three.
    'types (tsc)': [bin('tsc'), ['-p', '.', '--incremental', '--tsBuildInfoFile', '.cache/tsc.json']],
    'lint (oxlint)': [bin('oxlint'), ['--type-aware', '--quiet']],
    'format (biome)': [bin('biome'), ['format', '--reporter=summary']],
    'C sources, warnings as errors': cSources(),
    'layering and pure tests (vitest)': [node, pure],
  };
  const named = Object.entries(steps).filter(([, command]) => command !== undefined);
  return Promise.all(
    named.map(([title, [file, args]]) => step(title, () => run(file, args, { limit: 120 }))),
  );
}

/** Only compiled, never linked: the build has its own place for the results. */
function cSources() {
  const gcc = ['/usr/bin/gcc', '/usr/local/bin/gcc'].find((file) => existsSync(file));
  const sources = ['native', 'e2e/lab', 'bench'].flatMap((directory) =>
    readdirSync(path.join(root, directory))
      .filter((name) => name.endsWith('.c'))
      .map((name) => path.join(directory, name)),
  );
  if (gcc === undefined) return undefined;
  const headers = `node_modules/node-linux-${process.arch}/include/node`;
  const strict = ['-std=gnu17', '-Wall', '-Wextra', '-Werror', '-O1'];
  return [gcc, [...strict, `-I${headers}`, '-fsyntax-only', ...sources]];
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(async () => {
    await bootstrap([]);
    const since = Date.now();
    const results = await check();
    const failed = results.filter(({ code }) => code !== 0).map(({ title }) => title);
    const time = `${((Date.now() - since) / 1000).toFixed(1)} s`;
    console.log(
      failed.length === 0 ? `check passed in ${time}` : `check failed in ${time}: ${failed.join(', ')}`,
    );
    return failed.length === 0 ? 0 : 1;
  });
}
