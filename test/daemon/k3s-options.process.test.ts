import fs from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { Cluster, until } from './cluster.ts';

let cluster: Cluster;
afterEach(() => cluster.stop());

describe('with the options of K3s', () => {
  test('and a config.yaml there need be no net-conf.json, and pods are hidden', async () => {
    cluster = await Cluster.start('dual', 2);
    cluster.registry = [`--lease-dir=${cluster.file('leases')}`];
    const yaml = `flannel-backend: vxlan
cluster-cidr: 10.42.0.0/16,fd00:42::/56
service-cidr: [10.43.0.0/16, "fd00:43::/112"]
flannel-iface: eth0
token: K10abc
`;
    fs.writeFileSync(cluster.file('config.yaml'), yaml);
    const args = [`--config=${cluster.file('config.yaml')}`];
    await cluster.run(0, { args });
    await cluster.run(1, { args: [...args, '--flannel-ipv6-masq'] });
    for (const each of [4, 6] as const) await until(() => cluster.reaches(0, 1, each));
    expect(fs.readFileSync(cluster.file('0.env'), 'utf8')).toMatch(
      /^FLANNEL_NETWORK=10\.42\.0\.0\/16\nFLANNEL_SUBNET=10\.42\.\d+\.1\/24\nFLANNEL_IPV6_NETWORK=fd00:42::\/56\nFLANNEL_IPV6_SUBNET=fd00:42:.*\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n$/,
    );
    const isHidden = async (i: number, program: string) =>
      (await cluster.nodes[i]?.exec(program))?.includes('MASQUERADE');
    const hidden = (i: number) => Promise.all([isHidden(i, 'iptables-save'), isHidden(i, 'ip6tables-save')]);
    expect(await hidden(0)).toEqual([true, false]);
    expect(await hidden(1)).toEqual([true, true]);
    expect(cluster.logs.get(0)).toContain('without --flannel-ipv6-masq they reach nothing outside');
    expect(cluster.logs.get(0)).not.toContain('K10abc');
  });

  test('--flannel-cni-conf is installed when pods can be served, and refused when it is no list', async () => {
    cluster = await Cluster.start('v4', 1);
    const [list, directory] = [cluster.file('my.conflist'), cluster.file('net.d')];
    const args = [`--flannel-cni-conf=${list}`, `--cni-conf-dir=${directory}`];
    fs.writeFileSync(list, '{"name":"cbr0","plugins":[]}');
    const { status, says } = cluster.refused([...cluster.args(0), ...args]);
    expect([status, says]).toEqual([1, expect.stringMatching(/my\.conflist: it has no "plugins"/)]);
    expect(fs.existsSync(directory)).toBe(false);
    const text = '{"cniVersion":"1.0.0","name":"cbr0","plugins":[{"type":"flannel"}]}';
    fs.writeFileSync(list, text);
    await cluster.run(0, { args });
    const installed = `${directory}/10-flannel.conflist`;
    await until(() => fs.existsSync(installed));
    expect(fs.readFileSync(installed, 'utf8')).toBe(text);
    expect(fs.statSync(installed).mode & 0o777).toBe(0o644);
    expect(fs.readdirSync(directory)).toEqual(['10-flannel.conflist']);
  });

  test('--flannel-external-ip: peers are told, the tunnel has the address of the interface', async () => {
    cluster = await Cluster.start('v4', 1);
    cluster.registry = [`--lease-dir=${cluster.file('leases')}`];
    const args = ['--flannel-external-ip', '--node-external-ip=203.0.113.7', '--node-ip=192.0.2.1'];
    await cluster.run(0, { args });
    expect(fs.readFileSync(cluster.file('leases/node-0.json'), 'utf8')).toContain(
      '"PublicIP": "203.0.113.7"',
    );
    const link = await cluster.nodes[0]?.exec('ip', '-d', 'link', 'show', 'flannel.1');
    expect(link).toContain('local 192.0.2.1');
    expect(cluster.logs.get(0)).toContain('unencrypted');
  });
});
