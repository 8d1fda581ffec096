import { existsSync, readdirSync, rmSync } from 'node:fs';
import type { Binding } from '../../../native/binding.ts';
import { removeNamespace } from '../namespace.ts';
import type { Print } from '../print.ts';
import { stopDaemon } from './daemon.ts';
import type { Layout } from './layout.ts';
import { removeTunnels } from './network.ts';

/** Ends a lab's daemons and removes its namespaces and files: nothing of it is left. */
export async function takeDown(binding: Binding, lab: Layout): Promise<void> {
  await Promise.all(lab.nodes.map((node) => stopDaemon(node)));
  for (const node of lab.nodes) removeTunnels(binding, node);
  const names = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  // The underlay's name is the beginning of all others.
  const ours = names.filter((name) => name === lab.underlay || name.startsWith(`${lab.underlay}-node-`));
  for (const name of ours.toSorted((a, b) => b.length - a.length)) removeNamespace(name);
  rmSync(lab.directory, { recursive: true, force: true });
}

export async function labDown(binding: Binding, lab: Layout, print: Print): Promise<number> {
  await takeDown(binding, lab);
  print.line(`Lab "${lab.plan.name}" is gone.`);
  return 0;
}
