// npm run bench: makes the machine ready, then bench/main.ts measures against the reference plugins.
import { spawn } from 'node:child_process';
import { bootstrap, node } from './bootstrap.mjs';
import { buildGoTools } from './go-tools.mjs';
import { environment, main, root } from './step.mjs';

await main(async () => {
  await bootstrap(['build', 'tests', 'containers']);
  const missing = await buildGoTools();
  if (missing !== undefined) console.log(`${missing}: the reference is Debian's CNI plugins.`);
  const child = spawn(node, ['bench/main.ts', ...process.argv.slice(2)], {
    cwd: root,
    env: environment(),
    stdio: 'inherit',
  });
  return new Promise((resolve) => child.on('close', (code, signal) => resolve(signal === null ? code : 1)));
});
