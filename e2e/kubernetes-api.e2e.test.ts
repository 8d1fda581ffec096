import { readFileSync } from 'node:fs';
import net, { type AddressInfo, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { annotationKeys, defaultPrefix } from '../src/lease/kubernetes/annotations.ts';
import { KubernetesRegistry } from '../src/lease/kubernetes/kubernetes.ts';
import { systemClock } from '../src/world/clock.ts';
import { systemRandom } from '../src/world/random.ts';
import {
  acquire,
  type RegistryKit,
  registrySuite,
  Seen,
  suiteNetwork,
} from '../test/lease/registry-suite.ts';
import { ApiServer, noApiServer } from './lab/api-server.ts';
import { Cluster } from './lab/cluster.ts';
import { until } from './lab/command.ts';
import { type Lab, sharedFile } from './lab/lab.ts';
import { Pod } from './lab/pod.ts';
import { join } from './lab/relay.ts';
import { newest } from './lab/runtime.ts';
import { gateway } from './lab/underlay.ts';

const keys = annotationKeys(defaultPrefix);

describe('a real API server', () => {
  if (noApiServer !== undefined) {
    test('all of them', ({ skip }) => skip(noApiServer));
    return;
  }

  let server: ApiServer;
  let made = 0;
  beforeAll(async () => {
    server = await ApiServer.start();
    await server.apply('deploy/kube-flannel.yml'); // with the rights that stand there all of this must work
  });
  afterAll(() => server.stop());

  test('says which rights are missing', async () => {
    await clear();
    await makeNode('a');
    await expect(acquire(registryAt(server.url, server, 'a', 'stranger'), 1)).rejects.toThrow(
      'cannot get resource "nodes" in API group "" at the cluster scope; flanneld\'s ClusterRole must allow "get" on "nodes"',
    );
  });

  describe('as every registry', () => {
    registrySuite(() => kit());
  });

  test('keeps annotations as Go flannel writes them, and the condition', async () => {
    const { node } = await kit();
    const a = await node('a');
    await acquire(a, 1);
    await a.complete();
    const object = (await server.ask('GET', '/api/v1/nodes/a')) as unknown as ApiNode;
    expect(object.metadata.annotations).toEqual({
      'flannel.alpha.coreos.com/backend-data': '{"VNI":1,"VtepMAC":"12:c6:65:89:b4:e3"}',
      'flannel.alpha.coreos.com/backend-type': 'vxlan',
      'flannel.alpha.coreos.com/backend-v6-data': '{"VNI":1,"VtepMAC":"12:c6:65:89:b4:e4"}',
      'flannel.alpha.coreos.com/kube-subnet-manager': 'true',
      'flannel.alpha.coreos.com/public-ip': '192.0.2.1',
      'flannel.alpha.coreos.com/public-ipv6': '2001:db8::1',
    });
    expect(object.status.conditions).toContainEqual(
      expect.objectContaining({ type: 'NetworkUnavailable', status: 'False', reason: 'FlannelIsUp' }),
    );
    expect(object.metadata.managedFields).toContainEqual(
      expect.objectContaining({ manager: 'flanneld', subresource: 'status' }),
    );
  });

  test('hands 250 Nodes out in pages, and tells what changes', async () => {
    const { node } = await kit();
    const names = Array.from({ length: 250 }, (_, i) => `n${i}`);
    for (let at = 0; at < names.length; at += 25) {
      await Promise.all(names.slice(at, at + 25).map(async (name) => node(name)));
    }
    const annotations = { [keys.managed]: 'true', [keys.backendType]: 'vxlan', [keys.publicIP]: '192.0.2.7' };
    await server.ask('PATCH', '/api/v1/nodes/n249', { metadata: { annotations } });
    const seen = new Seen();
    onTestFinished((await node('n0')).watch(seen));
    await seen.until(() => seen.lease('n249') !== undefined);
    expect(seen.entries.size).toBe(1);
    await server.ask('PATCH', '/api/v1/nodes/n3', { metadata: { annotations } });
    await seen.until(() => seen.lease('n3') !== undefined);
    expect(seen.calls).toEqual(['all', 'changed n3']);
  });

  test('a Node that is made anew gets its annotations again', async () => {
    const { node, remove } = await kit();
    const a = await node('a');
    const lease = await acquire(a, 1);
    const seen = new Seen();
    onTestFinished(a.watch(seen));
    await seen.until(() => seen.lease('a') !== undefined);
    await remove('a');
    await seen.until(() => !seen.entries.has('a'));
    await node('a');
    await seen.until(() => seen.lease('a') !== undefined);
    expect(seen.lease('a')?.attributes).toEqual(lease.attributes);
  });

  test('two nodes with containerd: pods reach each other, a Node that is removed takes its routes along', async () => {
    await clear();
    const cluster = await Cluster.start({
      nodes: 2,
      family: 'dual',
      runtime: newest,
      registry: async (lab) => {
        for (const { name } of lab.nodes) await makeNode(name);
        const kubeconfig = await kubeconfigIn(lab);
        return (node) => ['--kube-subnet-mgr', `--kubeconfig-file=${kubeconfig}`, `--node-name=${node.name}`];
      },
    });
    onTestFinished(() => cluster.stop());
    const [from, to] = await Promise.all(
      cluster.nodes.map((node) => Pod.run(node, { name: `pod-${node.name}` })),
    );
    for (const address of to?.addresses ?? []) {
      await until(`a way to ${address}`, 6, async () => from?.reaches(address));
    }
    const [first, second] = cluster.nodes;
    const object = (await server.ask('GET', `/api/v1/nodes/${first?.name}`)) as unknown as ApiNode;
    const up = { type: 'NetworkUnavailable', status: 'False', message: 'Flannel is running on this node' };
    expect(object.status.conditions).toContainEqual(expect.objectContaining(up));
    expect(to?.v4?.replace(/\.\d+$/, '')).toBe(
      ((await server.ask('GET', `/api/v1/nodes/${second?.name}`)) as unknown as ApiNode).spec.podCIDR.replace(
        '.0/24',
        '',
      ),
    );
    if (second !== undefined) await cluster.killDaemon(second);
    await server.remove(`/api/v1/nodes/${second?.name}`);
    await until('the routes to the other node to go', 6, async () => {
      const routes = (await first?.exec(['ip', 'route', 'show', 'dev', 'flannel.1'])) ?? '';
      return !routes.includes('onlink');
    });
  });

  async function kubeconfigIn(lab: Lab): Promise<string> {
    const url = await server.enter(lab.underlay.name, gateway.v4);
    return sharedFile(lab, 'kubeconfig', server.kubeconfig(url, server.tokens.flannel));
  }

  async function clear(): Promise<void> {
    const { items } = (await server.ask('GET', '/api/v1/nodes')) as {
      items: { metadata: { name: string } }[];
    };
    await Promise.all(items.map(({ metadata }) => server.remove(`/api/v1/nodes/${metadata.name}`)));
    made = 0;
  }

  /** As kubelet and the controller manager do. */
  async function makeNode(name: string, annotations = {}): Promise<void> {
    const number = ++made;
    const podCIDRs = [`10.244.${number}.0/24`, `fd00:244:0:${number.toString(16)}::/64`];
    const node = { metadata: { name, annotations }, spec: { podCIDR: podCIDRs[0], podCIDRs } };
    await server.ask('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', ...node });
  }

  /** An empty cluster for one test, reached through a door that can be shut. */
  async function kit(): Promise<RegistryKit> {
    const door = await openDoor(server);
    await clear();
    const there = new Set<string>();
    return {
      async node(name) {
        if (!there.has(name)) await makeNode(name);
        there.add(name);
        return registryAt(door.url, server, name);
      },
      async spoil(name) {
        await makeNode(name, { [keys.managed]: 'true', [keys.publicIP]: 'junk' });
        return name;
      },
      async remove(id) {
        await server.remove(`/api/v1/nodes/${id}`);
        there.delete(id);
      },
      away: door.shut,
      back: door.open,
    };
  }
});

interface ApiNode {
  readonly metadata: { readonly annotations: Record<string, string>; readonly managedFields: unknown[] };
  readonly spec: { readonly podCIDR: string };
  readonly status: { readonly conditions: unknown[] };
}

function registryAt(
  url: string,
  { authority, tokens }: ApiServer,
  node: string,
  user: 'flannel' | 'stranger' = 'flannel',
): KubernetesRegistry {
  return new KubernetesRegistry({
    access: { server: url, tls: { ca: { text: authority } }, token: { text: tokens[user] } },
    annotations: keys,
    node,
    network: suiteNetwork,
    setNetworkUnavailable: true,
    readFile: (file) => readFileSync(file, 'utf8'),
    clock: systemClock,
    random: systemRandom,
  });
}

/** A way to the API server that can be shut. */
async function openDoor({
  url,
}: ApiServer): Promise<{ url: string; open(): Promise<void>; shut(): Promise<void> }> {
  const sockets = new Set<Socket>();
  let port = 0;
  let listener: net.Server | undefined;
  const open = async () => {
    const server = net.createServer((from) => {
      sockets.add(from);
      from.on('close', () => sockets.delete(from));
      join(from, net.connect(Number(new URL(url).port), '127.0.0.1'));
    });
    listener = server;
    await new Promise<void>((resolve) => {
      server.listen(port, '127.0.0.1', resolve);
    });
    port = (server.address() as AddressInfo).port;
  };
  const shut = async () => {
    const closed = new Promise((resolve) => {
      listener?.close(resolve);
    });
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  await open();
  onTestFinished(shut);
  return { url: `https://127.0.0.1:${port}`, open, shut };
}
