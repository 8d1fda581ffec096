import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster } from './lab/cluster.ts';
import { seenAs, tellCallers } from './lab/caller.ts';
import { until } from './lab/command.ts';
import { describeOnEachRuntime } from './lab/each-runtime.ts';
import { Pod, podConfiguration } from './lab/pod.ts';
import { newest } from './lab/runtime.ts';
import { traffic } from './lab/traffic.ts';

/** A node's first pod waits up to two seconds for the bridge's link-local address, without which IPv6 is not forwarded. */
const reached = (from: Pod, to: Pod, address: string) =>
  until(`a way from ${from.name} to ${to.name}, ${address}`, 6, () => from.reaches(address));

describeOnEachRuntime('three dual-stack nodes', (runtime) => {
  let cluster: Cluster;
  let pods: Pod[] = [];

  beforeAll(async () => {
    cluster = await Cluster.start({ nodes: 3, family: 'dual', runtime });
    pods = await Promise.all(
      cluster.nodes.map((node, i) =>
        Pod.run(node, { name: `pod-${i}`, hostPorts: [{ containerPort: 80, hostPort: 8080 }] }),
      ),
    );
  });
  afterAll(() => cluster?.stop());

  test('have pods that reach each other in both families', async () => {
    for (const from of pods) {
      for (const to of pods.filter((pod) => pod !== from)) {
        for (const address of to.addresses) await reached(from, to, address);
      }
    }
  });

  test('carry full-size packets between nodes', async () => {
    const [from, to] = pods;
    // 1450 of the pod's MTU less 28 of IPv4 and ICMP headers; and the 20 less that the IPv6 underlay leaves
    expect(await from?.exec(`ping -c 2 -s 1422 -W 2 ${to?.v4}`)).toContain(' 0% packet loss');
    expect(await from?.exec(`ping -c 2 -s 1382 -W 2 ${to?.v6}`)).toContain(' 0% packet loss');
  });

  test('answer HTTP on a host port, from another node and from a pod of another node', async () => {
    const [server, , client] = pods;
    await server?.exec('mkdir -p /www; echo hello from $(hostname) > /www/index.html; httpd -p 80 -h /www');
    const url = `http://${server?.node.address}:8080/`;
    expect(await cluster.node(2).exec(['busybox', 'wget', '-qO-', url])).toBe('hello from pod-0\n');
    expect(await client?.exec(`wget -qO- ${url}`)).toBe('hello from pod-0\n');
  });

  test('let pods reach the world behind the nodes, masqueraded', async () => {
    const [pod] = pods as [Pod];
    expect(await pod.reaches('192.168.50.254')).toBe(true);
    expect(await pod.reaches('fd00:50::fe')).toBe(true);
    await tellCallers(cluster.node(3));
    expect(await seenAs(pod, '192.168.50.3')).toBe('192.168.50.1');
    expect(await seenAs(pod, 'fd00:50::3')).toBe('fd00:50::1');
  });

  test('let pods see each other as they are, on their node and on others', async () => {
    const [from, to] = pods as [Pod, Pod];
    const neighbour = await Pod.run(to.node, { name: 'neighbour' });
    await tellCallers(to);
    for (const address of to.addresses) {
      const own = (pod: Pod) => (address.includes(':') ? pod.v6 : pod.v4);
      expect(await seenAs(from, address)).toBe(own(from));
      expect(await seenAs(neighbour, address)).toBe(own(neighbour));
    }
    // A node is not a pod: to its own pods it comes from the bridge, to those of others as itself.
    expect(await seenAs(to.node, to.v4 ?? '')).toBe(`${to.v4?.replace(/\.\d+$/, '.1')}`);
    await neighbour.stop();
    await neighbour.remove();
  });

  test('lose no packet when flanneld is killed, is away and comes back', async () => {
    const [from, to] = pods as [Pod, Pod];
    const flows = [traffic(from, to.v4 ?? '', 4), traffic(from, to.v6 ?? '', 4)];
    const upset = async () => {
      await Promise.all([cluster.killDaemon(from.node), cluster.killDaemon(to.node)]);
      await Promise.all([cluster.startDaemon(from.node), cluster.startDaemon(to.node)]);
    };
    const [results] = await Promise.all([Promise.all(flows), upset()]);
    expect(results).toEqual([
      { sent: 400, lost: 0 },
      { sent: 400, lost: 0 },
    ]);
  });

  test('mend a route and a whole device that somebody deletes', async () => {
    const [from, to] = pods as [Pod, Pod];
    const { node } = from;
    const subnet = `${to.v4?.replace(/\.\d+$/, '.0')}/24`;
    await node.exec(['ip', 'route', 'delete', subnet]);
    await until('the route', 5, async () => (await node.exec(['ip', 'route', 'show', subnet])) !== '');
    await node.exec(['ip', 'link', 'delete', 'flannel.1']);
    await until('the device', 5, async () => node.succeeds('ip', 'link', 'show', 'flannel.1'));
    await cluster.meshed();
    await until('the path', 5, () => from.reaches(to.v4 ?? ''));
  });

  // without a recorder: containerd kills what it has started, and that must be our launcher
  test('keep nothing of requests whose deadline passes in the middle of an ADD', async () => {
    const node = cluster.node(2);
    const left = async () => [...node.reservations(), ...(await node.ports())].toSorted().join(' ');
    const before = await left();
    const late = [20, 40, 60, 80, 100, 120].map((ms) => {
      const config = podConfiguration(node, { name: `late-${ms}` });
      return node.cri.call('RunPodSandbox', { config }, ms / 1000);
    });
    await Promise.allSettled(late);
    // containerd lists a sandbox only once it has given up on it or made it
    await until('the end of all of them', 20, async () => {
      const { items } = await node.cri.call('ListPodSandbox', {});
      const ids = items.filter(({ metadata }) => metadata.name.startsWith('late-')).map(({ id }) => id);
      await Promise.allSettled(ids.map((id) => node.cri.call('StopPodSandbox', { pod_sandbox_id: id })));
      await Promise.allSettled(ids.map((id) => node.cri.call('RemovePodSandbox', { pod_sandbox_id: id })));
      return ids.length === 0 && (await left()) === before;
    });
  });

  test('give back what a rebooted node had reserved', async () => {
    const node = cluster.node(3);
    expect(node.reservations()).toHaveLength(2);
    await cluster.killDaemon(node);
    await node.passBoot();
    await node.powerOff();
    await node.start();
    await cluster.setUp(node);
    await until('the release', 10, async () => node.reservations().length === 0);
    await cluster.meshed();
    // containerd still knows the pod of the time before, and takes it away without a network namespace
    const { items } = await node.cri.call('ListPodSandbox', {});
    for (const { id } of items) {
      await node.cri.call('StopPodSandbox', { pod_sandbox_id: id });
      await node.cri.call('RemovePodSandbox', { pod_sandbox_id: id });
    }
    const pod = await Pod.run(node, { name: 'after' });
    expect(await pod.reaches(pods[0]?.v4 ?? '')).toBe(true);
    expect(node.reservations()).toHaveLength(2);
  });
});

describe.each(['v4', 'v6'] as const)('two nodes with %s alone', (family) => {
  test('have pods that reach each other', async () => {
    const cluster = await Cluster.start({ nodes: 2, family, runtime: newest });
    try {
      const [a, b] = (await Promise.all(
        cluster.nodes.map((node, i) => Pod.run(node, { name: `pod-${i}` })),
      )) as [Pod, Pod];
      expect(a.addresses).toHaveLength(1);
      await reached(a, b, b.addresses[0] ?? '');
      await reached(b, a, a.addresses[0] ?? '');
    } finally {
      await cluster.stop();
    }
  });
});
