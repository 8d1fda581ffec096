import { writeFileSync } from 'node:fs';
import type { Binding } from '../../../native/binding.ts';
import { milliseconds, type Print } from '../print.ts';
import { Refusal } from '../refusal.ts';
import { daemonReady, startDaemon } from './daemon.ts';
import { takeDown } from './down.ts';
import { defaultName, type LabPlan, Layout } from './layout.ts';
import { layUnderlay, plugNode } from './network.ts';
import { addPod, type LabPod } from './pod.ts';
import { showStatus } from './status.ts';

/** Brings a lab up and shows it. Whatever fails, or Ctrl-C, leaves nothing behind. */
export async function labUp(binding: Binding, plan: LabPlan, print: Print): Promise<number> {
  if (process.getuid?.() !== 0) throw new Refusal('a lab needs root: it makes network namespaces');
  const lab = new Layout(plan);
  lab.claim();
  const interruption = new AbortController();
  const interrupt = () => interruption.abort();
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  const started = performance.now();
  try {
    await build(binding, lab, interruption.signal);
    print.line(`Lab "${plan.name}" is up after ${milliseconds(performance.now() - started)}.`);
    await showStatus(lab, print, interruption.signal);
  } catch (error) {
    await takeDown(binding, lab);
    if (interruption.signal.aborted) {
      print.line('Interrupted: everything was taken down again.');
      return 130;
    }
    throw error;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
  if (interruption.signal.aborted) {
    await takeDown(binding, lab);
    return 130;
  }
  print.line();
  const which = plan.name === defaultName ? '' : ` --name ${plan.name}`;
  print.line(`Look around: cni-tool lab exec${which} node-1 -- ip route      cni-tool lab status${which}`);
  print.line(`End it:      cni-tool lab down${which}`);
  return 0;
}

async function build(binding: Binding, lab: Layout, signal: AbortSignal): Promise<void> {
  layUnderlay(binding, lab);
  for (const node of lab.nodes) {
    plugNode(binding, node);
    startDaemon(node);
  }
  await Promise.all(lab.nodes.map((node) => daemonReady(node, signal)));
  for (const node of lab.nodes) {
    const pods: LabPod[] = [];
    for (let i = 1; i <= lab.plan.pods && !signal.aborted; i++) pods.push(await addPod(binding, node, i));
    writeFileSync(node.file('pods.json'), JSON.stringify(pods));
  }
  if (signal.aborted) throw new Refusal('interrupted');
}
