import { spawn } from 'node:child_process';
import path from 'node:path';
import type { Binding } from '../../../native/binding.ts';
import { Refusal } from '../refusal.ts';
import { programs } from './daemon.ts';
import type { NodeLayout } from './layout.ts';
import { makePodNamespace } from './network.ts';

/** A pod that was given its network. */
export interface LabPod {
  readonly name: string;
  readonly netnsPath: string;
  readonly addresses: readonly string[];
  /** Of the ADD, from outside. */
  readonly milliseconds: number;
}

/** Makes a pod's namespace and asks the node's plugin for its network, as a container runtime does. */
export async function addPod(binding: Binding, node: NodeLayout, index: number): Promise<LabPod> {
  const { name, netns } = node.pod(index);
  const netnsPath = makePodNamespace(binding, netns);
  const started = performance.now();
  const { status, stdout } = await runPlugin(node, netns, netnsPath);
  const reply = JSON.parse(stdout) as { ips?: { address: string }[]; msg?: string; details?: string };
  if (status !== 0) throw new Refusal(`${name} gets no network: ${reply.msg} ${reply.details ?? ''}`);
  const addresses = (reply.ips ?? []).map(({ address }) => address.split('/')[0] ?? '');
  return { name, netnsPath, addresses, milliseconds: performance.now() - started };
}

/** In the node's namespace, where a container runtime would be. */
function runPlugin(node: NodeLayout, containerId: string, netns: string) {
  const child = spawn('nsenter', [`--net=${node.netnsPath}`, path.join(programs, 'flannel')], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: {
      PATH: process.env['PATH'],
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: containerId,
      CNI_NETNS: netns,
      CNI_IFNAME: 'eth0',
      CNI_PATH: programs,
      FLANNELD_SOCKET: node.socket,
    },
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stdin.end(JSON.stringify(configuration(node)));
  return new Promise<{ status: number; stdout: string }>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ status: code ?? 1, stdout }));
  });
}

/** What conflist/10-flannel.conflist says, with the files of this node. */
function configuration(node: NodeLayout): object {
  return {
    cniVersion: '1.0.0',
    name: 'cbr0',
    type: 'flannel',
    subnetFile: node.file('subnet.env'),
    dataDir: node.file('cni/flannel'),
    ipam: { dataDir: node.file('cni/networks') },
    delegate: { hairpinMode: true, isDefaultGateway: true },
  };
}
