import { describe, expect, onTestFinished, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { NodeFirewall } from '../../src/firewall/node-firewall.ts';
import type { NodeFirewallWriter } from '../../src/firewall/node-fingerprint.ts';
import type { NodeRulesInput } from '../../src/firewall/node-rules.ts';
import { type Run, runProcess } from '../../src/firewall/process.ts';
import { prefix } from '../../src/net/prefix.ts';
import * as k from '../../src/netlink/constants.ts';
import { decodeNftGeneration } from '../../src/netlink/netfilter/nftables.ts';
import { SyncSession } from '../../src/netlink/session.ts';
import { openSocket } from '../../src/netlink/socket.ts';
import { listen } from '../../src/netlink/subscription.ts';
import { systemClock } from '../../src/world/clock.ts';
import { silentLog } from '../../src/world/log.ts';
import { createNetns, type Netns } from '../kit/netns.ts';

const input: NodeRulesInput = {
  masquerade: true,
  forward: true,
  randomFully: true,
  networks: [prefix('10.244.0.0/16'), prefix('fd00:244::/56')],
  subnets: [prefix('10.244.1.0/24'), prefix('fd00:244:0:1::/64')],
};

function namespace(): Netns {
  const netns = createNetns();
  onTestFinished(() => netns.remove());
  return netns;
}

/** A firewall in `netns`, and the programs that it ran. */
function firewall(netns: Netns, writer: NodeFirewallWriter, run?: Run) {
  const binding = loadBinding();
  const protocol = k.NETLINK_NETFILTER;
  const inside = runProcess();
  const programs: string[] = [];
  const node = new NodeFirewall(writer, {
    run: (program, args, stdin) => {
      programs.push(program);
      if (run !== undefined) return run(program, args, stdin);
      return inside('ip', ['netns', 'exec', netns.name, program, ...args], stdin);
    },
    session: new SyncSession(openSocket(binding, { protocol, netnsFd: netns.fd })),
    subscribe: (onGeneration, onLost) =>
      listen(
        openSocket(binding, { protocol, netnsFd: netns.fd, groups: [k.NFNLGRP_NFTABLES] }),
        decodeNftGeneration,
        onGeneration,
        onLost,
      ),
    clock: systemClock,
    log: silentLog,
  });
  onTestFinished(() => node.close());
  return { node, programs };
}

const show = {
  iptables: async (netns: Netns) =>
    [await netns.exec('iptables-save'), await netns.exec('ip6tables-save')]
      .join('')
      .split('\n')
      .filter((line) => /^-A.*(FLANNEL)/.test(line))
      .join('\n'),
  nftables: async (netns: Netns) =>
    (await netns.exec('nft', 'list', 'ruleset'))
      .split('\n')
      .filter((line) => !line.startsWith('#'))
      .join('\n'),
};

const harm = {
  iptables: [
    'iptables -t nat -F FLANNEL-POSTRTG',
    'iptables -t nat -D FLANNEL-POSTRTG 3',
    'iptables -t nat -I FLANNEL-POSTRTG -j ACCEPT',
    'iptables -D FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD',
    'ip6tables -t nat -F',
    'nft flush ruleset',
  ],
  nftables: [
    'nft flush ruleset',
    'nft flush chain ip flannel-ipv4 postrtg',
    'nft delete table ip6 flannel-ipv6',
    'nft insert rule ip flannel-ipv4 forward drop',
  ],
};

describe.each(['iptables', 'nftables'] as const)('node-wide rules by %s', (writer) => {
  test('are put in place once, and a second look starts no process', async () => {
    const netns = namespace();
    const { node, programs } = firewall(netns, writer);
    await node.keep(input);
    expect(node.problem).toBeUndefined();
    const text = await show[writer](netns);
    expect(text.match(/masquerade fully-random|MASQUERADE --random-fully/g)?.length).toBe(4);
    expect(text).toContain('fd00:244:0:1::/64');
    const before = programs.length;
    await node.ensure();
    await node.keep(input);
    expect(programs.length).toBe(before);
  });

  test.each(harm[writer])('are back after %s', async (command) => {
    const netns = namespace();
    const { node } = firewall(netns, writer);
    await node.keep(input);
    const right = await show[writer](netns);
    await netns.exec('sh', '-c', command);
    await expect.poll(() => show[writer](netns), { timeout: 5000 }).toBe(right);
  });

  test("cost nothing when somebody changes others' rules", async () => {
    const netns = namespace();
    const { node, programs } = firewall(netns, writer);
    await node.keep(input);
    const before = programs.length;
    await netns.exec('iptables', '-t', 'nat', '-I', 'POSTROUTING', '-s', '192.0.2.1', '-j', 'ACCEPT');
    await netns.exec('sleep', '0.2');
    await node.ensure();
    expect(programs.length).toBe(before);
  });

  test('of an earlier subnet and of the other way of writing go', async () => {
    const netns = namespace();
    const other = writer === 'iptables' ? 'nftables' : 'iptables';
    const earlier = firewall(netns, other);
    await earlier.node.keep(input);
    earlier.node.close();
    const first = firewall(netns, writer);
    await first.node.keep(input);
    first.node.close();
    expect(await netns.exec('nft', 'list', 'ruleset')).not.toContain(
      other === 'nftables' ? 'flannel-ipv4' : 'FLANNEL',
    );
    const { node } = firewall(netns, writer);
    await node.keep({ ...input, subnets: [prefix('10.244.7.0/24')], networks: [prefix('10.244.0.0/16')] });
    const text = await show[writer](netns);
    expect(text).toContain('10.244.7.0/24');
    expect(text).not.toMatch(/10\.244\.1\.0|fd00/);
    await node.keep({ ...input, masquerade: false, forward: false });
    expect(await show[writer](netns)).not.toMatch(/10\.244/);
  });

  test('without the program are a problem that names it', async () => {
    const missing: Run = async (program) => ({ code: -1, stdout: '', stderr: `spawn ${program} ENOENT` });
    const { node } = firewall(namespace(), writer, missing);
    await node.keep(input);
    expect(node.problem).toMatch(
      /^the firewall rules are not in place: there is no program (iptables-save|nft);/,
    );
  });

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
    await firewall(node, writer).node.keep(input);
    // The outside has no way back to pods: an answer means that it saw the node's address.
    await pod.exec('ping', '-c1', '-W1', '192.0.2.2');
    await expect(pod.exec('ping', '-c1', '-W1', '10.244.2.2')).rejects.toThrow();
    await outside.exec('ip', 'route', 'add', '10.244.1.0/24', 'via', '192.0.2.1');
    await pod.exec('ping', '-c1', '-W1', '10.244.2.2');
  });
});
