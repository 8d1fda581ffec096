import fs from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { Cluster, until } from './cluster.ts';

let cluster: Cluster;
afterEach(() => cluster.stop());

describe('the way to other nodes is followed', () => {
  const lease = () => fs.readFileSync(cluster.file('leases/node-0.json'), 'utf8');
  const shows = (text: string) => until(() => lease().includes(text));
  const ip = (...commands: string[]) =>
    commands.reduce<Promise<unknown>>(
      (before, command) => before.then(() => cluster.nodes[0]?.exec('ip', ...command.split(' '))),
      Promise.resolve(),
    );
  /** A second interface, to nowhere. */
  const eth1 = (address: string) =>
    ip(
      'link add eth1 type veth peer name far',
      'link set far up',
      'link set eth1 up',
      `addr add ${address} dev eth1`,
    );

  test('--iface-can-reach: when another route leads there', async () => {
    cluster = await Cluster.start('v4', 1);
    await eth1('198.51.100.1/24');
    await cluster.run(0, { args: ['--iface-can-reach=203.0.113.9'] });
    expect(lease()).toContain('192.0.2.1');
    await ip('route add 203.0.113.0/24 via 198.51.100.254 dev eth1');
    await shows('198.51.100.1');
    await ip('route del 203.0.113.0/24');
    await shows('192.0.2.1');
  });

  test('--iface-regex: when another interface matches', async () => {
    cluster = await Cluster.start('v4', 1);
    await eth1('198.51.100.1/24');
    await cluster.run(0, { args: ['--iface-regex=^192[.]0[.]2[.]', '--iface-regex=^eth1$'] });
    expect(lease()).toContain('192.0.2.1');
    await ip('addr flush dev eth0');
    await shows('198.51.100.1');
    await ip('addr add 192.0.2.77/24 dev eth0');
    await shows('192.0.2.77');
  });

  test('dual-stack, when the interface comes back as another with other addresses', async () => {
    cluster = await Cluster.start('dual', 2);
    for (const i of [0, 1]) await cluster.run(i, { args: ['--iface=eth0'] });
    await ip('addr flush dev eth0 scope global');
    await until(() => cluster.logs.get(0)?.includes('the way to other nodes is gone') === true);
    await ip('link set eth0 down', 'link set eth0 name old0', 'link set old0 name eth0', 'link set eth0 up');
    await ip('addr add 192.0.2.55/24 dev eth0', 'addr add 2001:db8::55/64 dev eth0 nodad');
    await shows('192.0.2.55');
    await shows('2001:db8::55');
    for (const family of [4, 6] as const) await until(() => cluster.reaches(1, 0, family));
  });
});
