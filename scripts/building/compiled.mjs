import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { step } from './step.mjs';

/** What each program does to show node what it needs compiled: nothing that touches the machine; how it ends does not matter. */
const runs = [
  { program: 'flanneld', args: ['--help'] },
  { program: 'cni-tool', args: ['--help'] },
  { program: 'flannel', args: [], input: { cniVersion: '1.0.0', name: 'cbr0', type: 'flannel' } },
];

/** For flannel: an ADD that nothing can come of. */
const environment = {
  PATH: process.env.PATH,
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'none',
  CNI_IFNAME: 'eth0',
  CNI_NETNS: '/nonexistent',
  CNI_PATH: '/nonexistent',
  FLANNELD_SOCKET: '/nonexistent',
};

/** Lets each program run once, for the code that node keeps of it. Only this machine's own can. */
export async function keepCompiledCode({ out }) {
  const directory = `${out}/flannelette`;
  const bundles = runs.map(({ program }) => `${directory}/${program}.cjs`);
  await step({
    title: `compiled code in ${directory}/compiled`,
    inputs: [...bundles, 'package-lock.json', 'native/runtime.c'],
    recipe: JSON.stringify({ runs, environment }),
    outputs: [`${directory}/compiled`],
    make: () => {
      rmSync(`${directory}/compiled`, { recursive: true, force: true });
      mkdirSync(`${directory}/compiled`);
      for (const { program, args, input = '' } of runs) {
        spawnSync(path.resolve(out, program), args, {
          env: environment,
          input: JSON.stringify(input),
          timeout: 20_000,
        });
      }
    },
  });
}
