import { execFileSync } from 'node:child_process';
import { afterEach, describe, expect, test } from 'vitest';
import { Etcd } from '../test/kit/etcd.ts';
import { Cluster, type RegistryFlags } from './lab/cluster.ts';
import { until } from './lab/command.ts';
import type { Lab } from './lab/lab.ts';
import { Pod } from './lab/pod.ts';
import { newest } from './lab/runtime.ts';

const network = {
  v4: { Network: '10.244.0.0/16' },
  v6: { EnableIPv4: false, EnableIPv6: true, IPv6Network: 'fd00:244::/56' },
  dual: { Network: '10.244.0.0/16', EnableIPv6: true, IPv6Network: 'fd00:244::/56' },
};

describe.each(['v4', 'v6', 'dual'] as const)('two nodes with containerd and etcd, %s', (family) => {
  let cluster: Cluster | undefined;
  let etcd: Etcd | undefined;
  afterEach(async () => {
    await cluster?.stop();
    await etcd?.stop();
  });

  test('pods reach each other, also while etcd is away and after a daemon was killed then', async () => {
    const registry = async (lab: Lab): Promise<RegistryFlags> => {
      const address = family === 'v6' ? '[fd00:50::fe]' : '192.168.50.254';
      const netns = `/run/netns/${lab.underlay.name}`;
      etcd = await Etcd.start({ address, before: ['nsenter', `--net=${netns}`] });
      configure(netns, etcd.url, { ...network[family], Backend: { Type: 'vxlan' } });
      return () => [`--etcd-endpoints=${etcd?.url}`];
    };
    cluster = await Cluster.start({ nodes: 2, family, runtime: newest, registry });
    const [from, to] = (await Promise.all(
      cluster.nodes.map((node) => Pod.run(node, { name: `pod-${node.name}` })),
    )) as [Pod, Pod];
    const reached = async () => {
      for (const address of to.addresses) {
        await until(`a way to ${address}`, 6, () => from.reaches(address));
      }
    };
    expect(to.addresses).toHaveLength(family === 'dual' ? 2 : 1);
    await reached();
    await etcd?.kill();
    await reached();
    await cluster.killDaemon(from.node);
    await cluster.startDaemon(from.node);
    await reached();
    await etcd?.begin();
  });
});

/** Puts the network configuration into an etcd that is reached from elsewhere. */
function configure(netns: string, url: string, config: object): void {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const question = { key: base64('/coreos.com/network/config'), value: base64(JSON.stringify(config)) };
  const script = `fetch('${url}/v3/kv/put', { method: 'POST', body: '${JSON.stringify(question)}' })`;
  execFileSync('nsenter', [`--net=${netns}`, process.execPath, '-e', script]);
}
