import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { kubernetesProgram } from './api-server.ts';
import type { LabNode } from './node.ts';
import type { NodeProcess } from './process.ts';

/** What kubelet sets at its start: they belong to the whole machine. */
const machineWide = {
  'vm/overcommit_memory': 1,
  'vm/panic_on_oom': 0,
  'kernel/panic': 10,
  'kernel/panic_on_oops': 1,
  'kernel/keys/root_maxkeys': 1_000_000,
  'kernel/keys/root_maxbytes': 25_000_000,
};

/**
 * Starts kubelet on a node. It keeps to the node: below the node's own cgroup, and with files of its own in the place of the sysctls
 * that it would set for the machine.
 */
export async function startKubelet(node: LabNode, kubeconfig: string): Promise<NodeProcess> {
  makeCgroups(node.cgroup);
  await node.shell(
    Object.entries(machineWide)
      .map(([key, value]) => {
        const file = `/run/sysctl-${key.replaceAll('/', '-')}`;
        return `echo ${value} > ${file}; mount --bind ${file} /proc/sys/${key}`;
      })
      .join('\n'),
  );
  const file = path.join(node.directory, 'kubelet.yaml');
  writeFileSync(file, JSON.stringify(configuration(node)));
  return node.spawn('kubelet', [
    kubernetesProgram('kubelet'),
    `--config=${file}`,
    `--kubeconfig=${kubeconfig}`,
    `--hostname-override=${node.name}`,
    `--node-ip=${node.address}`,
  ]);
}

function configuration(node: LabNode): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    cgroupDriver: 'cgroupfs',
    cgroupRoot: node.cgroup,
    failCgroupV1: false,
    failSwapOn: false,
    localStorageCapacityIsolation: false,
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    evictionHard: Object.fromEntries(
      [
        'memory.available',
        'nodefs.available',
        'nodefs.inodesFree',
        'imagefs.available',
        'imagefs.inodesFree',
      ].map((signal) => [signal, '0%']),
    ),
    imageGCHighThresholdPercent: 100,
    syncFrequency: '10s',
  };
}

/** The cgroup in the tree, or in each of v1's; a new one of v1's cpuset has no processors and no memory until it is given some. */
function makeCgroups(cgroup: string): void {
  const root = '/sys/fs/cgroup';
  const unified = existsSync(`${root}/cgroup.controllers`);
  const trees = unified ? [root] : readdirSync(root).map((name) => path.join(root, name));
  for (const tree of trees) {
    let at = tree;
    for (const name of cgroup.split('/').filter((part) => part !== '')) {
      const above = at;
      at = path.join(at, name);
      mkdirSync(at, { recursive: true });
      if (unified) enableControllers(above);
      for (const file of ['cpuset.cpus', 'cpuset.mems'])
        if (!unified && existsSync(path.join(at, file)))
          writeFileSync(path.join(at, file), readFileSync(path.join(above, file)));
    }
  }
}

function enableControllers(cgroup: string): void {
  const there = readFileSync(path.join(cgroup, 'cgroup.controllers'), 'utf8').trim().split(' ');
  writeFileSync(path.join(cgroup, 'cgroup.subtree_control'), there.map((name) => `+${name}`).join(' '));
}
