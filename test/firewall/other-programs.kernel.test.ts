import { describe, expect, onTestFinished, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { NftKernel } from '../../src/firewall/nft-kernel.ts';
import type { Run } from '../../src/firewall/process.ts';
import { prefix } from '../../src/net/prefix.ts';
import * as k from '../../src/netlink/constants.ts';
import { delNftTable } from '../../src/netlink/netfilter/nftables.ts';
import { SyncSession } from '../../src/netlink/session.ts';
import { openSocket } from '../../src/netlink/socket.ts';
import { firewall, input, inside, namespace, show } from './node-firewalls.ts';

/** Node-wide rules where other programs are missing, old, in the way or at work. */

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
