import { describe, expect, onTestFinished, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { execFileSync } from 'node:child_process';
import { openLegacyKernel } from '../../src/firewall/legacy-kernel.ts';
import { NftKernel } from '../../src/firewall/nft-kernel.ts';
import { NodeFirewall } from '../../src/firewall/node-firewall.ts';
import type { NodeRulesInput } from '../../src/firewall/node-rules.ts';
import { type Run, runProcess } from '../../src/firewall/process.ts';
import { prefix } from '../../src/net/prefix.ts';
import * as k from '../../src/netlink/constants.ts';
import { decodeNftGeneration, delNftTable } from '../../src/netlink/netfilter/nftables.ts';
import { SyncSession } from '../../src/netlink/session.ts';
import { openSocket } from '../../src/netlink/socket.ts';
import { listen } from '../../src/netlink/subscription.ts';
import { systemClock } from '../../src/world/clock.ts';
import { silentLog } from '../../src/world/log.ts';
import { createNetns, type Netns } from '../kit/netns.ts';

const input: NodeRulesInput = {
  masquerade: { 4: true, 6: true },
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

/** Two kinds of iptables, and nftables. */
type Way = 'iptables' | 'iptables-legacy' | 'nftables';

/** Runs programs in `netns`, by the names that `update-alternatives` would give them. */
function inside(netns: Netns, way: Way): Run {
  const run = runProcess();
  return (program, args, stdin) => {
    const real =
      way === 'iptables-legacy' ? program.replace(/tables-(save|restore)$/, 'tables-legacy-$1') : program;
    return run('ip', ['netns', 'exec', netns.name, real, ...args], stdin);
  };
}

/** A firewall in `netns`, and the programs that it ran. */
function firewall(netns: Netns, way: Way, run = inside(netns, way)) {
  const binding = loadBinding();
  const protocol = k.NETLINK_NETFILTER;
  const programs: string[] = [];
  const warnings: string[] = [];
  const node = new NodeFirewall(way === 'nftables' ? way : 'iptables', {
    run: (program, args, stdin) => {
      programs.push(program);
      return run(program, args, stdin);
    },
    nft: new NftKernel(new SyncSession(openSocket(binding, { protocol, netnsFd: netns.fd }))),
    legacy: openLegacyKernel(binding, netns.fd, (file) =>
      execFileSync('ip', ['netns', 'exec', netns.name, 'cat', file], { encoding: 'latin1' }),
    ),
    subscribe: (onGeneration, onLost) =>
      listen(
        openSocket(binding, { protocol, netnsFd: netns.fd, groups: [k.NFNLGRP_NFTABLES] }),
        decodeNftGeneration,
        onGeneration,
        onLost,
      ),
    clock: systemClock,
    log: { ...silentLog, warn: (_bindings, message) => warnings.push(message) },
  });
  onTestFinished(() => node.close());
  return { node, programs, warnings };
}

const chains = (text: string): string =>
  text
    .split('\n')
    .filter((line) => /^[-:].*FLANNEL/.test(line))
    .join('\n');

const show = {
  iptables: async (netns: Netns) =>
    chains((await netns.exec('iptables-nft-save')) + (await netns.exec('ip6tables-nft-save'))),
  'iptables-legacy': async (netns: Netns) =>
    chains((await netns.exec('iptables-legacy-save')) + (await netns.exec('ip6tables-legacy-save'))),
  nftables: async (netns: Netns) => {
    const tables = await netns.exec('nft', 'list', 'tables');
    const ours = tables.split('\n').filter((line) => line.includes('flannel'));
    const texts = ours.toSorted().map((line) => netns.exec('nft', 'list', ...line.split(' ')));
    return (await Promise.all(texts)).join('');
  },
};

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

const ways = ['iptables', 'iptables-legacy', 'nftables'] as const;

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

describe('a program that is not there', () => {
  const missing: Run = async (program) => ({ code: -1, stdout: '', stderr: `spawn ${program} ENOENT` });

  test('is a problem that names it, and nftables need none', async () => {
    const netns = namespace();
    const { node } = firewall(netns, 'iptables', missing);
    await node.keep(input);
    expect(node.problem).toMatch(
      /^the firewall rules are not in place: there is no program iptables; .*; there is no program ip6tables;/,
    );
    node.close();
    const nftables = firewall(netns, 'nftables', missing);
    await nftables.node.keep(input);
    expect(nftables.node.problem).toBeUndefined();
    expect(await show.nftables(netns)).not.toBe('');
  });

  test('is no problem for a family that has no rules', async () => {
    const netns = namespace();
    const run = inside(netns, 'iptables');
    const { node } = firewall(netns, 'iptables', (program, args, stdin) =>
      program.startsWith('ip6') ? missing(program, args) : run(program, args, stdin),
    );
    const ipv4 = { ...input, networks: [prefix('10.244.0.0/16')], subnets: [prefix('10.244.1.0/24')] };
    await node.keep(ipv4);
    expect(node.problem).toBeUndefined();
    // The other family's rules are mended all the same.
    await node.keep(input);
    expect(node.problem).toContain('there is no program ip6tables;');
    const right = await show.iptables(netns);
    await netns.exec('iptables', '-t', 'nat', '-F', 'FLANNEL-POSTRTG');
    await expect.poll(() => show.iptables(netns), { timeout: 5000 }).toBe(right);
  });
});

test('a FORWARD chain that drops is told where rules cannot mend it', async () => {
  const netns = namespace();
  await netns.exec('iptables', '-P', 'FORWARD', 'DROP');
  const iptables = firewall(netns, 'iptables');
  await iptables.node.keep(input);
  expect(iptables.warnings).toEqual([]);
  iptables.node.close();
  const { node, warnings } = firewall(netns, 'nftables');
  await node.keep({ ...input, forward: false });
  expect(warnings).toEqual([]);
  await node.keep(input);
  await node.keep(input);
  expect(warnings).toEqual([expect.stringMatching(/^the FORWARD chain of iptables drops by default/)]);
  // It is seen when somebody changes it.
  await netns.exec('ip6tables', '-P', 'FORWARD', 'DROP');
  await expect.poll(() => warnings.at(-1), { timeout: 5000 }).toMatch(/^the FORWARD chain of ip6tables/);
});

test('an iptables-save that does not tell its version is told by its iptables', async () => {
  const netns = namespace();
  const run = inside(netns, 'iptables');
  const { node } = firewall(netns, 'iptables', async (program, args, stdin) =>
    program.endsWith('-save') && args[0] === '-V'
      ? { code: 1, stdout: '', stderr: "iptables-save: invalid option -- 'V'" }
      : run(program, args, stdin),
  );
  await node.keep(input);
  expect(node.problem).toBeUndefined();
  const right = await show.iptables(netns);
  await netns.exec('iptables', '-t', 'nat', '-F', 'FLANNEL-POSTRTG');
  await expect.poll(() => show.iptables(netns), { timeout: 5000 }).toBe(right);
});

test('empty chains that Go flannel leaves when it changes to nftables go', async () => {
  const netns = namespace();
  await netns.exec('iptables', '-t', 'nat', '-N', 'FLANNEL-POSTRTG');
  await netns.exec('iptables', '-t', 'nat', '-A', 'POSTROUTING', '-j', 'FLANNEL-POSTRTG');
  await netns.exec('iptables', '-t', 'nat', '-A', 'POSTROUTING', '-s', '192.0.2.1', '-j', 'ACCEPT');
  await netns.exec('iptables', '-t', 'nat', '-N', 'FLANNEL-FWD');
  await netns.exec('nft', 'add', 'table', 'ip6', 'flannel-ipv6');
  const { node, programs } = firewall(netns, 'nftables');
  await node.keep({ ...input, networks: [prefix('10.244.0.0/16')], subnets: [prefix('10.244.1.0/24')] });
  expect(await netns.exec('nft', 'list', 'tables')).not.toContain('flannel-ipv6');
  expect(programs).toEqual([]);
  const text = await netns.exec('iptables-save', '-t', 'nat');
  expect(text).toContain('-A POSTROUTING -s 192.0.2.1/32 -j ACCEPT');
  expect(text).not.toContain('FLANNEL-POSTRTG');
});

test('a program that undoes them again and again is named, and does not keep this one busy', async () => {
  const netns = namespace();
  const { node } = firewall(netns, 'nftables');
  await node.keep(input);
  const socket = openSocket(loadBinding(), { protocol: k.NETLINK_NETFILTER, netnsFd: netns.fd });
  const other = new NftKernel(new SyncSession(socket));
  onTestFinished(() => other.close());
  const table = { nfgen_family: k.AF_INET, NFTA_TABLE_NAME: 'flannel-ipv4' };
  let undone = 0;
  const undo = () => {
    if (other.table(k.AF_INET, table.NFTA_TABLE_NAME) === undefined) return node.problem;
    other.change([delNftTable(table)]);
    undone++;
    return node.problem;
  };
  await expect
    .poll(undo, { interval: 1, timeout: 20_000 })
    .toMatch(/another program changes them all the time/);
  expect(undone).toBeGreaterThan(150);
  // It is put in place still, about once a second, and all is well when the other program has ended.
  await expect.poll(() => node.problem, { timeout: 10_000 }).toBeUndefined();
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
