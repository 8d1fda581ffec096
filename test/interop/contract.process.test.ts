import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Machine, referencePlugins } from '../cni/conformance/harness.ts';
import { until } from '../daemon/cluster.ts';
import { goDelegate, goNode } from './go-flannel.ts';
import { GoSite } from './go-site.ts';

/** The points of the contract that a kernel decides: see contract.test.ts. Node 0 runs ours, node 1 Go flannel. */
describe('a mixed cluster: vxlan, dual stack', () => {
  let site: GoSite;
  beforeEach(async () => {
    site = await GoSite.start({ backend: 'vxlan', dualStack: true });
  });
  afterEach(() => site.stop());

  const owned = async () => (await site.owners(0)).join() === '241,241';

  test('2 a device that ours made is like one that Go flannel made, and the peers reach it', async () => {
    for (const name of ['flannel.1', 'flannel-v6.1']) await site.run(0, `ip link del ${name}`);
    await site.cluster.run(0, { args: ['--ip-masq'], keepSubnetFile: true });
    for (const name of ['flannel.1', 'flannel-v6.1']) {
      const [ours, theirs] = await Promise.all([0, 1].map((i) => site.vxlan(i, name)));
      expect(ours).toEqual(theirs);
    }
    const macs = await Promise.all(['flannel.1', 'flannel-v6.1'].map((name) => site.macOf(0, name)));
    expect(macs).toEqual([site.self(0).mac, site.self(0).ipv6Mac]);
    await until(() => site.answers(1));
    expect(await site.answers(0)).toBe(true);
  });

  test('5 a daemon that stops withdraws nothing; a lease that goes takes the entries with it', async () => {
    await site.cluster.run(0, { args: ['--ip-masq'], keepSubnetFile: true });
    await until(owned);
    fs.rmSync(site.cluster.file('leases/node-1.json'));
    await until(async () => (await site.owners(0)).length === 0);
    expect(await site.run(0, 'ip neigh show nud permanent')).not.toContain('10.244.2.0');
    expect(await site.run(0, 'bridge fdb show dev flannel.1')).not.toContain('192.0.2.2');
    await site.cluster.end(0, 'SIGTERM');
    expect(await site.leases(0)).toEqual(['10.244.1.0/24', 'fd00:244:0:1::/64']);
  });

  test('8 the host’s own packets to pods elsewhere come from its subnet, so that there is a way back', async () => {
    await site.cluster.run(0, { args: ['--ip-masq'], keepSubnetFile: true });
    await until(owned);
    expect(await site.run(0, 'ip route get 10.244.2.2')).toMatch(/dev flannel\.1 src 10\.244\.1\.0 /);
    expect(await site.run(0, 'ip route get fd00:244:0:2::2')).toMatch(
      /dev flannel-v6\.1 .*src fd00:244:0:1:: /,
    );
    await site.run(0, 'ping -c1 -W2 10.244.2.2');
    await site.run(0, 'ping -6 -c1 -W2 fd00:244:0:2::2');
  });

  test('9 rules that Go flannel wrote in the other manner go when ours are there', async () => {
    site.cluster.configure({ ...site.netConf, EnableNFTables: true });
    await site.cluster.run(0, { args: ['--ip-masq'], keepSubnetFile: true });
    const chains = async () => (await site.run(0, 'iptables-save')) + (await site.run(0, 'ip6tables-save'));
    const tables = () => site.run(0, 'nft list tables');
    expect(await tables()).toMatch(/table ip flannel-ipv4\n(.*\n)*table ip6 flannel-ipv6/);
    expect(await chains()).not.toContain('FLANNEL');
    await site.cluster.end(0, 'SIGTERM');
    site.cluster.configure(site.netConf);
    await site.cluster.run(0, { args: ['--ip-masq'], keepSubnetFile: true });
    expect(await tables()).not.toContain('flannel');
    expect(await chains()).toMatch(/FLANNEL-POSTRTG/);
    expect(await site.answers(0)).toBe(true);
  });
});

describe('10 the state file that one flannel plugin keeps is enough for the other', () => {
  let machine: Machine;
  beforeEach(async () => {
    machine = await Machine.start('stand-alone');
  });
  afterEach(() => machine.stop());

  test('ours for Go’s, which hands it to the delegate that it names', async () => {
    const scene = machine.scene();
    // Debian's plugins, which stand in where no others can be built, know no later version.
    await scene.ok('ADD', { conf: scene.conf({ cniVersion: '1.0.0' }) });
    expect([scene.reserved(), await scene.ports()]).toEqual([['10.244.1.2'], [expect.any(String)]]);
    const stored = fs.readFileSync(path.join(scene.dataDir, 'c1'), 'utf8');
    const { type } = JSON.parse(stored) as { type: string };
    const run = await machine.exec(scene.environment('DEL'), stored, path.join(referencePlugins, type));
    expect([run.status, run.stdout]).toEqual([0, '']);
    expect([scene.reserved(), await scene.ports()]).toEqual([[], []]);
  });

  test('and has in it what Go’s would have', async () => {
    const scene = machine.scene();
    scene.subnetEnv({ FLANNEL_SUBNET: '10.244.1.1/24' });
    await scene.ok('ADD', {
      conf: {
        ...scene.conf(),
        cniVersion: '0.3.1',
        name: 'cbr0',
        delegate: { hairpinMode: true, isDefaultGateway: true },
      },
    });
    const stored = JSON.parse(fs.readFileSync(path.join(scene.dataDir, 'c1'), 'utf8')) as { ipam: object };
    const { ipam, ...rest } = goDelegate({ backend: 'vxlan', dualStack: false }, goNode(1)) as {
      ipam: object;
    };
    expect(stored).toEqual({ ...rest, ipam: { ...ipam, dataDir: path.join(scene.directory, 'networks') } });
  });
});
