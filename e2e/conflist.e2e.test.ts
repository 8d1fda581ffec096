import { readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { repository } from './lab/binary.ts';
import { Cluster } from './lab/cluster.ts';
import { until } from './lab/command.ts';
import { describeOnEachRuntime } from './lab/each-runtime.ts';
import { shippedConfiguration } from './lab/lab.ts';
import type { LabNode } from './lab/node.ts';
import { Pod } from './lab/pod.ts';

const shipped = readdirSync(path.join(repository, 'conflist')).filter((name) => name.endsWith('.conflist'));

describeOnEachRuntime('the conflists as they are shipped', (runtime) => {
  let cluster: Cluster;
  let node: LabNode;

  beforeAll(async () => {
    cluster = await Cluster.start({ nodes: 1, family: 'dual', runtime });
    node = cluster.node(1);
  });
  afterAll(() => cluster?.stop());

  test.each(shipped)('%s does all that its chain promises', async (name) => {
    const text = shippedConfiguration(name);
    const types = (JSON.parse(text) as { plugins: { type: string }[] }).plugins.map(({ type }) => type);
    node.installConfiguration('10-flannel.conflist', text);
    await until('NetworkReady', 5, async () => (await node.cri.network()).status);
    const pod = await Pod.run(node, {
      name: `pod-${name.replaceAll(/\W/g, '-')}`,
      hostPorts: [{ containerPort: 80, hostPort: 8080 }],
      annotations: { 'kubernetes.io/ingress-bandwidth': '10M', 'kubernetes.io/egress-bandwidth': '5M' },
    });
    await pod.exec('mkdir -p /www; echo hello > /www/index.html; httpd -p 80 -h /www');
    if (types.includes('portmap')) {
      const url = `http://${node.address}:8080/`;
      expect(await node.exec(['busybox', 'wget', '-qO-', url])).toBe('hello\n');
    }
    const limits = await node.shell('tc qdisc show | grep -c tbf || true');
    expect(limits.trim()).toBe(types.includes('bandwidth') ? '2' : '0');
    await pod.stop();
    await pod.remove();
    expect(node.reservations()).toEqual([]);
    expect(await node.ports()).toEqual([]);
    expect(await node.shell('tc qdisc show | grep -c tbf || true')).toBe('0\n');
    expect(await node.shell('iptables-save -t nat | grep -c 8080 || true')).toBe('0\n');
  });
});
