import { describe, expect, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { prefix } from '../../src/net/prefix.ts';
import * as k from '../../src/netlink/constants.ts';
import { openSocket } from '../../src/netlink/socket.ts';
import type { Netns } from '../kit/netns.ts';
import { firewall, input, inside, namespace, show, ways } from './node-firewalls.ts';

const harm = {
  iptables: [
    'iptables -t nat -F FLANNEL-POSTRTG',
    'iptables -t nat -D FLANNEL-POSTRTG 3',
    'iptables -t nat -I FLANNEL-POSTRTG -j ACCEPT',
    'iptables -D FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD',
    'iptables -A FORWARD -j FLANNEL-FWD',
    'ip6tables -t nat -F',
    'nft flush ruleset',
  ],
  'iptables-legacy': [
    'iptables-legacy -t nat -F FLANNEL-POSTRTG',
    'iptables-legacy -t nat -D FLANNEL-POSTRTG 3',
    'iptables-legacy -t nat -I FLANNEL-POSTRTG -j ACCEPT',
    'iptables-legacy -D FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD',
    'iptables-legacy -A FORWARD -j FLANNEL-FWD',
    'ip6tables-legacy -t nat -F',
    'ip6tables-legacy -t nat -F && ip6tables-legacy -t nat -X',
  ],
  nftables: [
    'nft flush ruleset',
    'nft flush chain ip flannel-ipv4 postrtg',
    'nft delete table ip6 flannel-ipv6',
    'nft insert rule ip flannel-ipv4 forward drop',
    'nft add table ip flannel-ipv4 "{ flags dormant; }"',
    'nft flush table ip flannel-ipv4 && nft delete chain ip flannel-ipv4 postrtg',
  ],
};

/** All that is there of ours, whoever wrote it. */
const everything = async (netns: Netns) =>
  (await Promise.all(ways.map((way) => show[way](netns)))).filter((text) => text !== '').join('\n');

describe.each(ways)('node-wide rules by %s', (way) => {
  test('are put in place once; a second look starts no process and writes nothing', async () => {
    const netns = namespace();
    const { node, programs } = firewall(netns, way);
    await node.keep(input);
    expect(node.problem).toBeUndefined();
    const text = await show[way](netns);
    expect(text.match(/masquerade fully-random|MASQUERADE --random-fully/g)?.length).toBe(4);
    expect(text).toContain('fd00:244:0:1::/64');
    expect(await everything(netns)).toBe(text);
    const before = [...programs];
    const socket = openSocket(loadBinding(), {
      protocol: k.NETLINK_NETFILTER,
      netnsFd: netns.fd,
      groups: [k.NFNLGRP_NFTABLES],
    });
    await node.keep(input);
    await node.keep(input);
    expect(programs).toEqual(before);
    expect(socket.receive()).toBeUndefined();
    socket.close();
  });

  test('asked for several times at once are written one after the other, and the last word counts', async () => {
    const netns = namespace();
    const run = inside(netns, way);
    let [running, most] = [0, 0];
    const { node } = firewall(netns, way, (program, args, stdin) => {
      most = Math.max(most, ++running);
      return run(program, args, stdin).finally(() => running--);
    });
    await Promise.all([
      node.keep({ ...input, subnets: [prefix('10.244.8.0/24')] }),
      node.keep({ ...input, forward: false }),
      node.keep({ ...input, subnets: [prefix('10.244.9.0/24')] }),
    ]);
    const text = await show[way](netns);
    expect(text).toContain('10.244.9.0/24');
    expect(text).not.toMatch(/10\.244\.[18]\.0/);
    expect(most).toBe(way === 'nftables' ? 0 : 1);
  });

  test('that are right at the start are not written again', async () => {
    const netns = namespace();
    const earlier = firewall(netns, way);
    await earlier.node.keep(input);
    earlier.node.close();
    const { node, programs } = firewall(netns, way);
    await node.keep(input);
    expect(programs.filter((program) => program.endsWith('restore'))).toEqual([]);
    if (way === 'nftables') expect(programs).toEqual([]);
  });

  test('are back, whatever is done to them', async () => {
    const netns = namespace();
    const { node } = firewall(netns, way);
    await node.keep(input);
    const right = await show[way](netns);
    for (const command of harm[way]) {
      await netns.exec('sh', '-c', command);
      await expect.poll(() => show[way](netns), { timeout: 5000, message: command }).toBe(right);
    }
  });

  test("cost nothing when somebody changes others' rules", async () => {
    const netns = namespace();
    const { node, programs } = firewall(netns, way);
    await node.keep(input);
    const before = programs.length;
    const iptables = way === 'iptables-legacy' ? way : 'iptables';
    await netns.exec(iptables, '-t', 'nat', '-I', 'POSTROUTING', '-s', '192.0.2.1', '-j', 'ACCEPT');
    await netns.exec(iptables, '-t', 'nat', '-N', 'OTHER');
    await node.keep(input);
    expect(programs.length).toBe(before);
  });

  test.each(ways.filter((other) => other !== way))('take the place of those by %s', async (other) => {
    const netns = namespace();
    const earlier = firewall(netns, other);
    await earlier.node.keep(input);
    expect(await show[other](netns)).not.toBe('');
    earlier.node.close();
    const { node } = firewall(netns, way);
    await node.keep(input);
    expect(node.problem).toBeUndefined();
    expect(await show[other](netns)).toBe('');
    expect(await show[way](netns)).not.toBe('');
  });

  test('of an earlier network, subnet, family or flag go', async () => {
    const netns = namespace();
    const earlier = firewall(netns, way);
    await earlier.node.keep(input);
    earlier.node.close();
    const { node, programs } = firewall(netns, way);
    const networks = [prefix('10.244.0.0/16')];
    await node.keep({ ...input, networks, subnets: [prefix('10.244.7.0/24')] });
    const text = await show[way](netns);
    expect(text).toContain('10.244.7.0/24');
    expect(text).not.toMatch(/10\.244\.1\.0|fd00/);
    // Legacy tables can be changed by nobody else.
    if (way !== 'iptables-legacy')
      expect(programs.filter((program) => program.startsWith('ip6'))).toEqual([]);
    await node.keep({ ...input, networks, subnets: [], masquerade: { 4: false, 6: false } });
    await node.keep({ ...input, masquerade: { 4: false, 6: false }, forward: false });
    expect(await everything(netns)).toBe('');
  });

  test('without IPv6 masquerade leave IPv6 addresses as they are', async () => {
    const netns = namespace();
    const { node } = firewall(netns, way);
    await node.keep({ ...input, masquerade: { 4: true, 6: false } });
    const text = await show[way](netns);
    expect(text.match(/masquerade fully-random|MASQUERADE --random-fully/g)?.length).toBe(2);
    expect(text).toMatch(/fd00:244::\/56 .*accept/i);
  });
});

test('rules that iptables has found right once are put back without it, and the jump stays in its place', async () => {
  const netns = namespace();
  const { node, programs } = firewall(netns, 'iptables');
  await node.keep(input);
  await netns.exec('iptables', '-t', 'nat', '-A', 'POSTROUTING', '-s', '192.0.2.1', '-j', 'ACCEPT');
  const saved = async () =>
    (await netns.exec('iptables-save', '-t', 'nat')).split('\n').filter((line) => line.startsWith('-A'));
  const right = await saved();
  const before = programs.length;
  for (const command of ['-F FLANNEL-POSTRTG', '-D FLANNEL-POSTRTG 5', '-I FLANNEL-POSTRTG -j ACCEPT']) {
    await netns.exec('sh', '-c', `iptables -t nat ${command}`);
    await expect.poll(saved, { timeout: 5000, message: command }).toEqual(right);
  }
  const gone = '*nat\\n-D POSTROUTING 1\\n-F FLANNEL-POSTRTG\\n-X FLANNEL-POSTRTG\\nCOMMIT\\n';
  await netns.exec('sh', '-c', `printf '${gone}' | iptables-restore --noflush`);
  await expect
    .poll(saved, { timeout: 5000 })
    .toEqual([...right.slice(1, 2), ...right.slice(0, 1), ...right.slice(2)]);
  expect(programs.length).toBe(before);
});

describe.each(ways)('packets under rules by %s', (way) => {
  test('hide pods from the outside, and not from other pods', async () => {
    const [node, pod, outside] = [namespace(), namespace(), namespace()];
    await node.exec('ip', 'link', 'add', 'p', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod.name);
    await node.exec('ip', 'link', 'add', 'o', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', outside.name);
    const setUp = async (netns: Netns, link: string, ...addresses: string[]) => {
      for (const address of addresses) await netns.exec('ip', 'addr', 'add', address, 'dev', link);
      await netns.exec('ip', 'link', 'set', link, 'up');
    };
    await setUp(node, 'p', '10.244.1.1/24');
    await setUp(pod, 'eth0', '10.244.1.2/24');
    await setUp(node, 'o', '192.0.2.1/24');
    // The outside, and on the same link a pod of another node.
    await setUp(outside, 'eth0', '192.0.2.2/24', '10.244.2.2/32');
    await node.exec('ip', 'route', 'add', '10.244.2.0/24', 'dev', 'o');
    await pod.exec('ip', 'route', 'add', 'default', 'via', '10.244.1.1');
    await node.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    await firewall(node, way).node.keep(input);
    // The outside has no way back to pods: an answer means that it saw the node's address.
    await pod.exec('ping', '-c1', '-W1', '192.0.2.2');
    await expect(pod.exec('ping', '-c1', '-W1', '10.244.2.2')).rejects.toThrow();
    await outside.exec('ip', 'route', 'add', '10.244.1.0/24', 'via', '192.0.2.1');
    await pod.exec('ping', '-c1', '-W1', '10.244.2.2');
  });
});
