import { existsSync, readdirSync, rmSync } from 'node:fs';
import { removeNamespace } from '../namespace.ts';
import type { Print } from '../print.ts';
import { stopDaemon } from './daemon.ts';
import type { Layout } from './layout.ts';

/** Ends a lab's daemons and removes its namespaces and files: nothing of it is left. */
export async function takeDown(lab: Layout): Promise<void> {
  await Promise.all(lab.nodes.map((node) => stopDaemon(node)));
  const names = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  // The underlay's name is the beginning of all others.
  const ours = names.filter((name) => name === lab.underlay || name.startsWith(`${lab.underlay}-node-`));
  for (const name of ours.toSorted((a, b) => b.length - a.length)) removeNamespace(name);
  rmSync(lab.directory, { recursive: true, force: true });
}

export async function labDown(lab: Layout, print: Print): Promise<number> {
  await takeDown(lab);
  print.line(`Lab "${lab.plan.name}" is gone.`);
  return 0;
}
