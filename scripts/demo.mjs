// npm run demo: makes the machine ready, then e2e/demo.ts shows what there is to see.
import { bootstrap, node } from './bootstrap.mjs';
import { environment, main, root } from './step.mjs';
import { spawn } from 'node:child_process';

await main(async () => {
  await bootstrap(['build', 'tests', 'containers']);
  // In this terminal and its process group: colours are seen, and Ctrl-C reaches the demo, which cleans up.
  const child = spawn(node, ['e2e/demo.ts', ...process.argv.slice(2)], {
    cwd: root,
    env: environment(),
    stdio: 'inherit',
  });
  return new Promise((resolve) => child.on('close', (code, signal) => resolve(signal === null ? code : 1)));
});
