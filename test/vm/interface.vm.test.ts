import fs from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { Cluster, until } from '../daemon/cluster.ts';

/** Interfaces that this machine's own kernel may not have. In the emulated one a process is slow to start. */

const slow = 60_000;
let cluster: Cluster;
afterEach(() => cluster.stop());

async function ip(i: number, ...commands: string[]): Promise<void> {
  for (const command of commands) await cluster.nodes[i]?.exec('ip', ...command.split(' '));
}

test('a VLAN on a bond carries the traffic, survives a cable, and is followed when it is made anew', async () => {
  cluster = await Cluster.start('v4', 2);
  const second = `link add q0 master br0 type veth peer name eth1 netns ${cluster.nodes[0]?.name}`;
  await cluster.underlay.exec('ip', ...second.split(' '));
  await cluster.underlay.exec('ip', 'link', 'set', 'q0', 'up');
  await ip(
    0,
    'addr flush dev eth0',
    'link add bond0 type bond mode active-backup miimon 20',
    'link set eth0 down',
    'link set eth0 master bond0',
    'link set eth1 master bond0',
    'link set bond0 up',
    'link add link bond0 name bond0.10 type vlan id 10',
    'link set bond0.10 up',
    'addr add 198.51.100.1/24 dev bond0.10',
  );
  await ip(
    1,
    'link add link eth0 name eth0.10 type vlan id 10',
    'link set eth0.10 up',
    'addr add 198.51.100.2/24 dev eth0.10',
  );
  await cluster.run(0, { args: ['--iface=bond0.10'] }, slow);
  await cluster.run(1, { args: ['--iface-regex=^198[.]51[.]'] }, slow);
  await until(() => cluster.reaches(0, 1, 4), slow);
  expect(await cluster.nodes[0]?.exec('ip', '-d', 'link', 'show', 'flannel.1')).toMatch(
    /mtu 1450 .*dev bond0\.10/s,
  );

  await cluster.underlay.exec('ip', 'link', 'set', 'p0', 'down');
  await until(() => cluster.reaches(0, 1, 4), slow);

  // The tunnel goes with the device below it, and is made again with the next.
  await ip(0, 'link del bond0.10');
  await until(() => cluster.logs.get(0)?.includes('the way to other nodes is gone') === true, slow);
  await ip(
    0,
    'link add link bond0 name bond0.10 type vlan id 10',
    'link set bond0.10 up',
    'addr add 198.51.100.9/24 dev bond0.10',
  );
  await until(
    () => fs.readFileSync(cluster.file('leases/node-0.json'), 'utf8').includes('198.51.100.9'),
    slow,
  );
  await until(() => cluster.reaches(1, 0, 4), slow);
});
