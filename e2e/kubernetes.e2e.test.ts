import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiServer, nodeToken, serviceAddress } from './lab/api-server.ts';
import { until } from './lab/command.ts';
import { noKubernetes, startControlPlane } from './lab/control-plane.ts';
import { daemonArchive } from './lab/daemon-image.ts';
import { imageName } from './lab/image.ts';
import { startKubelet } from './lab/kubelet.ts';
import { Lab, sharedFile } from './lab/lab.ts';
import type { LabNode } from './lab/node.ts';
import { newest } from './lab/runtime.ts';
import { type Family, gateway } from './lab/underlay.ts';

interface KubeObject {
  readonly metadata: { readonly name: string; readonly uid: string; readonly generation?: number };
}

interface KubeCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

interface KubeNode extends KubeObject {
  readonly spec: {
    readonly podCIDRs?: readonly string[];
    readonly taints?: readonly { readonly key: string }[];
  };
  readonly status: { readonly conditions: readonly KubeCondition[] };
}

interface KubePod extends KubeObject {
  readonly spec: { readonly nodeName: string };
  readonly status: {
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly conditions?: readonly KubeCondition[];
    readonly containerStatuses?: readonly { readonly containerID?: string; readonly restartCount: number }[];
  };
}

interface KubeDaemonSet extends KubeObject {
  readonly status: {
    readonly observedGeneration: number;
    readonly updatedNumberScheduled?: number;
    readonly numberAvailable?: number;
  };
}

const ipv4 = '10.244.0.0/16';
const ipv6 = 'fd00:244::/56';

interface Variant {
  readonly title: string;
  readonly family: Family;
  readonly networks: readonly string[];
  /** Of the manifest. */
  readonly edit: (text: string) => string;
}

const variants: readonly Variant[] = [
  { title: 'with our manifest as it is', family: 'v4', networks: [ipv4], edit: (text) => text },
  {
    title: 'in dual-stack with nftables',
    family: 'dual',
    networks: [ipv4, ipv6],
    edit: (text) =>
      text.replace(
        '"Backend"',
        `"EnableIPv6": true, "IPv6Network": "${ipv6}", "EnableNFTables": true, "Backend"`,
      ),
  },
];

describe.each(variants)('a Kubernetes cluster of two nodes, $title', ({ family, networks, edit }) => {
  if (noKubernetes !== undefined) {
    test('all of them', ({ skip }) => skip(noKubernetes));
    return;
  }

  let server: ApiServer;
  let lab: Lab;

  beforeAll(async () => {
    const image = daemonArchive();
    const made = await Promise.allSettled([
      startControlPlane(networks).then((plane) => (server = plane)),
      Lab.start({ nodes: 2, family, runtime: newest }).then((nodes) => (lab = nodes)),
      image,
    ]);
    for (const { status, ...why } of made) if (status === 'rejected') throw (why as { reason: Error }).reason;
    const archive = await image;
    const url = await server.enter(lab.underlay.name, gateway.v4);
    await Promise.all(
      lab.nodes.map(async (node) => {
        await node.ctr('images', 'import', archive);
        await reachServices(node, url);
        const access = server.kubeconfig(url, nodeToken(node.name));
        await startKubelet(node, sharedFile(lab, `${node.name}.kubeconfig`, access));
      }),
    );
  });
  afterAll(async () => {
    await lab?.stop();
    await server?.stop();
  });

  test('has nodes that are not ready, as they have no network', async () => {
    await until('two nodes with podCIDRs', 60, async () => {
      const nodes = await list<KubeNode>('/api/v1/nodes');
      return nodes.length === 2 && nodes.every(({ spec }) => spec.podCIDRs?.length === networks.length);
    });
    for (const node of await list<KubeNode>('/api/v1/nodes')) {
      expect(condition(node, 'Ready')?.message).toContain('cni plugin not initialized');
    }
  });

  test('gets a network by our manifest: the nodes turn ready, and nothing keeps pods off them', async () => {
    // As a cloud's controller does: it takes the condition back when the node has routes.
    const unavailable = { type: 'NetworkUnavailable', status: 'True', reason: 'NoRouteCreated' };
    for (const { name } of lab.nodes)
      await server.ask('PATCH', `/api/v1/nodes/${name}/status`, { status: { conditions: [unavailable] } });
    await server.apply('deploy/kube-flannel.yml', edit);
    await until('two nodes that are ready, without a taint', 60, async () => {
      const nodes = await list<KubeNode>('/api/v1/nodes');
      return nodes.every((node) => isReady(node) && (node.spec.taints ?? []).length === 0);
    });
    for (const node of await list<KubeNode>('/api/v1/nodes')) {
      expect(condition(node, 'NetworkUnavailable')).toMatchObject({ status: 'False', reason: 'FlannelIsUp' });
    }
  });

  test('runs pods that reach each other', async () => {
    await server.ask('POST', '/apis/apps/v1/namespaces/default/daemonsets', sleepers);
    await until(
      'two pods that are ready',
      60,
      async () => (await readyPods('default', 'sleeper')).length === 2,
    );
    const [from, to] = await sleeping();
    for (const [one, other] of [
      [from, to],
      [to, from],
    ] as const) {
      expect(addressesOf(other)).toHaveLength(networks.length);
      for (const address of addressesOf(other))
        await until(`a way to ${address}`, 10, async () =>
          (await run(one, `ping -c 1 -W 2 ${address} || true`)).includes(' 0% packet loss'),
        );
    }
  });

  test('loses no packet in a rolling restart of flanneld', async () => {
    const [from, to] = await sleeping();
    const before = await list<KubePod>(`${flannel}/pods`);
    // Each ping ends with its last answer: one that is stopped in between counts a packet on its way as lost.
    const flows = addressesOf(to).map((address) =>
      run(
        from,
        `while [ ! -e /tmp/enough ]; do ping -c 100 -i 0.01 -W 1 ${address} || true; done | grep transmitted`,
        120,
      ),
    );
    const restarted = { 'kubectl.kubernetes.io/restartedAt': new Date().toISOString() };
    await server.ask('PATCH', daemonSet, { spec: { template: { metadata: { annotations: restarted } } } });
    try {
      await until('the end of the roll-out', 90, rolledOut);
    } finally {
      await run(from, 'touch /tmp/enough');
    }
    for (const output of await Promise.all(flows)) {
      const counts = [...output.matchAll(/(\d+) packets transmitted, (\d+) packets received/g)];
      const total = (column: 1 | 2) => counts.reduce((sum, count) => sum + Number(count[column]), 0);
      expect(total(1)).toBeGreaterThan(100);
      expect(total(2), output).toBe(total(1));
    }
    const after = await list<KubePod>(`${flannel}/pods`);
    expect(after).toHaveLength(2);
    for (const { metadata, status } of after) {
      expect(before.map((pod) => pod.metadata.uid)).not.toContain(metadata.uid);
      expect(status.containerStatuses?.[0]?.restartCount).toBe(0);
    }
  });

  test('gives back the addresses of pods that are deleted', async () => {
    expect(lab.nodes.flatMap((node) => node.reservations())).toHaveLength(2 * networks.length);
    await server.remove('/apis/apps/v1/namespaces/default/daemonsets/sleeper');
    await until('no address in use', 60, async () =>
      lab.nodes.every((node) => node.reservations().length === 0),
    );
  });

  const list = async <T>(where: string): Promise<T[]> =>
    ((await server.ask('GET', where)) as { items: T[] }).items;

  async function readyPods(namespace: string, app: string): Promise<KubePod[]> {
    const pods = await list<KubePod>(`/api/v1/namespaces/${namespace}/pods?labelSelector=app%3D${app}`);
    return pods.filter(isReady);
  }

  /** `kubectl rollout status`. */
  async function rolledOut(): Promise<boolean> {
    const { metadata, status } = (await server.ask('GET', daemonSet)) as unknown as KubeDaemonSet;
    const { observedGeneration, updatedNumberScheduled, numberAvailable } = status;
    return (
      observedGeneration === metadata.generation && updatedNumberScheduled === 2 && numberAvailable === 2
    );
  }

  const sleeping = async () => (await readyPods('default', 'sleeper')) as [KubePod, KubePod];

  /** Runs a shell command in a pod's container; throws when it fails. */
  async function run({ metadata, spec, status }: KubePod, script: string, seconds = 20): Promise<string> {
    const node = lab.nodes.find(({ name }) => name === spec.nodeName);
    const id = status.containerStatuses?.[0]?.containerID?.replace('containerd://', '') ?? '';
    const request = { container_id: id, cmd: ['/bin/sh', '-c', script], timeout: seconds };
    const answer = await node?.cri.call('ExecSync', request, seconds + 5);
    if (answer === undefined) throw new Error(`${metadata.name} is on none of our nodes`);
    const output = answer.stdout.toString();
    if (answer.exit_code !== 0) throw new Error(`${script}: ${output}${answer.stderr.toString()}`);
    return output;
  }
});

const flannel = '/api/v1/namespaces/kube-flannel';
const daemonSet = '/apis/apps/v1/namespaces/kube-flannel/daemonsets/kube-flannel-ds';

/** One pod a node, which sleeps. */
const sleepers = {
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: { name: 'sleeper' },
  spec: {
    selector: { matchLabels: { app: 'sleeper' } },
    template: {
      metadata: { labels: { app: 'sleeper' } },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'main', image: imageName, imagePullPolicy: 'Never', command: ['/pause'] }],
      },
    },
  },
};

const condition = ({ status }: KubeNode | KubePod, name: string) =>
  status.conditions?.find(({ type }) => type === name);
const addressesOf = ({ status }: KubePod) => (status.podIPs ?? []).map(({ ip }) => ip);
const isReady = (object: KubeNode | KubePod) => condition(object, 'Ready')?.status === 'True';

/** What kube-proxy would do for the one service that there is. */
async function reachServices(node: LabNode, url: string): Promise<void> {
  const { host } = new URL(url);
  const rule = `-p tcp -d ${serviceAddress} --dport 443 -j DNAT --to-destination ${host}`;
  await node.shell(`iptables -t nat -A OUTPUT ${rule}; iptables -t nat -A PREROUTING ${rule}`);
}
