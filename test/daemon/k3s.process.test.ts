import fs from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { Api } from './api.ts';
import { Cluster, until } from './cluster.ts';

const prefix = 'flannel.alpha.coreos.com';

let cluster: Cluster;
let api: Api;
afterEach(async () => {
  await api.end();
  await cluster.stop();
});

/** As an agent of K3s has it in /etc/rancher/k3s: what is for K3s itself stands between. */
const config = (node: number) => `server: https://192.0.2.254:6443
token: K10secret
flannel-backend: wireguard-native
cluster-cidr:
  - 10.42.0.0/16
  - 2001:cafe:42::/56
service-cidr: 10.43.0.0/16,2001:cafe:43::/112
node-name: overruled-by-the-flag
node-ip: 192.0.2.${node},2001:db8::${node}
node-external-ip: 203.0.113.${node}
flannel-external-ip: true
flannel-ipv6-masq: true
node-label:
  - zone=a
kube-subnet-mgr: true
set-node-network-unavailable: false
`;

test('nodes of K3s with external addresses, by its config.yaml and drop-ins, reach each other', async () => {
  cluster = await Cluster.start('dual', 2);
  api = await Api.start(cluster);
  cluster.registry = [`--kubeconfig-file=${cluster.file('kubeconfig')}`];
  for (const i of [0, 1]) {
    // The old address of a machine with two: K3s's flannel would take it, the first.
    await cluster.nodes[i]?.exec('ip', 'addr', 'flush', 'dev', 'eth0', 'scope', 'global');
    const addresses = [
      `192.0.2.10${i}/24`,
      `192.0.2.${i + 1}/24`,
      `203.0.113.${i + 1}/24`,
      `2001:db8::${i + 1}/64`,
    ];
    for (const each of addresses)
      await cluster.nodes[i]?.exec(
        'ip',
        'addr',
        'add',
        each,
        'dev',
        'eth0',
        ...(each.includes(':') ? ['nodad'] : []),
      );
    await api.tell('addNode', `node-${i}`, [`10.42.${i}.0/24`, `2001:cafe:42:${i}::/64`], {});
    const file = cluster.file(`config-${i}.yaml`);
    fs.writeFileSync(file, config(i + 1));
    fs.mkdirSync(`${file}.d`);
    fs.writeFileSync(`${file}.d/10-backend.yaml`, 'flannel-backend: vxlan\n');
    await cluster.run(i, { args: [`--config=${file}`] });
  }
  for (const family of [4, 6] as const) await until(() => cluster.reaches(0, 1, family));

  const { metadata, status } = (await api.tell('look')).nodes['node-0'] ?? {};
  expect(metadata?.annotations).toMatchObject({
    [`${prefix}/public-ip`]: '203.0.113.1',
    [`${prefix}/public-ipv6`]: '2001:db8::1',
    [`${prefix}/backend-type`]: 'vxlan',
  });
  expect(status?.conditions ?? []).toEqual([]);
  expect(await cluster.nodes[0]?.exec('ip', '-d', 'link', 'show', 'flannel.1')).toContain('local 192.0.2.1');
  expect(await cluster.nodes[0]?.exec('bridge', 'fdb', 'show', 'dev', 'flannel.1')).toContain(
    'dst 203.0.113.2',
  );
  expect(fs.readFileSync(cluster.file('0.env'), 'utf8')).toBe(
    [
      'FLANNEL_NETWORK=10.42.0.0/16',
      'FLANNEL_SUBNET=10.42.0.1/24',
      'FLANNEL_IPV6_NETWORK=2001:cafe:42::/56',
      'FLANNEL_IPV6_SUBNET=2001:cafe:42::1/64',
      'FLANNEL_MTU=1450',
      'FLANNEL_IPMASQ=true',
      '',
    ].join('\n'),
  );
  const log = cluster.logs.get(0) ?? '';
  expect(log).toContain('unencrypted');
  expect(log).not.toContain('secret');
});
