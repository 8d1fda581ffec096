import { describe, expect, onTestFinished, test } from 'vitest';
import {
  chooseBackend,
  collectMasquerade,
  setUpMasquerade,
  tearDownMasquerade,
} from '../../src/firewall/masquerade.ts';
import type { MasqueradeBackend, PodMasquerade } from '../../src/firewall/pod-masquerade.ts';
import { type Run, runProcess } from '../../src/firewall/process.ts';
import { prefix } from '../../src/net/prefix.ts';
import { createNetns, type Netns } from '../kit/netns.ts';

function firewall(): { netns: Netns; run: Run } {
  const netns = createNetns();
  onTestFinished(() => netns.remove());
  const inside = runProcess();
  return {
    netns,
    run: (program, args, stdin) => inside('ip', ['netns', 'exec', netns.name, program, ...args], stdin),
  };
}

const masquerade = (n: number, ifname = 'eth0'): PodMasquerade => ({
  network: 'cbr0',
  containerID: `c${n}`,
  ifname,
  addresses: [prefix(`10.244.1.${n}/24`), prefix(`fd00:244:0:1::${n}/64`)],
});

/** All that there is of rules, without counters and comments of the tools. */
async function rules(netns: Netns, backend: MasqueradeBackend): Promise<string[]> {
  const programs =
    backend === 'nftables' ? [['nft', 'list', 'ruleset']] : [['iptables-save'], ['ip6tables-save']];
  const texts = await Promise.all(programs.map(([program = '', ...args]) => netns.exec(program, ...args)));
  return texts
    .flatMap((text) => text.split('\n'))
    .filter((line) => /masquerade comment|-j (CNI-|MASQ|ACCEPT)|^:CNI-/.test(line));
}

describe.each(['iptables', 'nftables'] as const)('rules by %s', (backend) => {
  test('are put in place and taken away, one pod after the other', async () => {
    const { netns, run } = firewall();
    await setUpMasquerade(run, backend, masquerade(2), []);
    const first = await rules(netns, backend);
    expect(first.length).toBeGreaterThan(1);
    await setUpMasquerade(run, backend, masquerade(3), []);
    expect((await rules(netns, backend)).length).toBe(2 * first.length);
    await tearDownMasquerade(run, backend, masquerade(3), []);
    expect(await rules(netns, backend)).toEqual(first);
    await tearDownMasquerade(run, backend, masquerade(2), []);
    expect(await rules(netns, backend)).toEqual([]);
    await tearDownMasquerade(run, backend, masquerade(2), []);
  });

  test('go without anybody knowing the addresses', async () => {
    const { netns, run } = firewall();
    await setUpMasquerade(run, backend, masquerade(2), []);
    await tearDownMasquerade(run, backend, { ...masquerade(2), addresses: [] }, []);
    expect(await rules(netns, backend)).toEqual([]);
  });

  test('of two interfaces of a container go one by one', async () => {
    const { netns, run } = firewall();
    const [eth0, net1] = [masquerade(2), { ...masquerade(9, 'net1'), containerID: 'c2' }];
    await setUpMasquerade(run, backend, eth0, []);
    const before = await rules(netns, backend);
    await setUpMasquerade(run, backend, net1, eth0.addresses);
    await tearDownMasquerade(run, backend, net1, eth0.addresses);
    expect(await rules(netns, backend)).toEqual(before);
    await tearDownMasquerade(run, backend, eth0, []);
    expect(await rules(netns, backend)).toEqual([]);
  });

  test('of what is not valid are collected', async () => {
    const { netns, run } = firewall();
    for (const n of [2, 3, 4]) await setUpMasquerade(run, backend, masquerade(n), []);
    await setUpMasquerade(run, backend, { ...masquerade(5), network: 'other' }, []);
    await collectMasquerade(run, backend, 'cbr0', [{ containerID: 'c3', ifname: 'eth0' }]);
    const left = (await rules(netns, backend)).join('\n');
    expect(left).toMatch(/10\.244\.1\.3\b/);
    expect(left).toMatch(/10\.244\.1\.5\b/);
    expect(left).not.toMatch(/10\.244\.1\.[24]\b/);
  });

  test('leave alone what others have put there', async () => {
    const { netns, run } = firewall();
    await netns.exec('iptables', '-t', 'nat', '-A', 'POSTROUTING', '-s', '192.0.2.1', '-j', 'ACCEPT');
    await setUpMasquerade(run, backend, masquerade(2), []);
    await tearDownMasquerade(run, backend, masquerade(2), []);
    await collectMasquerade(run, backend, 'cbr0', []);
    expect(await netns.exec('iptables-save', '-t', 'nat')).toContain(
      '-A POSTROUTING -s 192.0.2.1/32 -j ACCEPT',
    );
  });

  test('that are refused are an error that says why', async () => {
    const { run } = firewall();
    const bad = { ...masquerade(2), addresses: [prefix('10.244.1.2/24')], containerID: 'x'.repeat(300) };
    const refusing: Run = async (program, args, stdin) =>
      stdin === undefined ? run(program, args) : { code: 2, stdout: '', stderr: 'no such luck\n' };
    await expect(setUpMasquerade(refusing, backend, bad, [])).rejects.toThrow(
      /^(iptables-restore|nft) refused the masquerade rules: no such luck$/,
    );
  });
});

describe('masqueraded traffic', () => {
  test.each(['iptables', 'nftables'] as const)('bears the address of the node, by %s', async (backend) => {
    const { netns: node, run } = firewall();
    const { netns: pod } = firewall();
    const { netns: outside } = firewall();
    await node.exec('ip', 'link', 'add', 'p', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod.name);
    await node.exec('ip', 'link', 'add', 'o', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', outside.name);
    const setUp = async (netns: Netns, link: string, address: string) => {
      await netns.exec('ip', 'addr', 'add', address, 'dev', link);
      await netns.exec('ip', 'link', 'set', link, 'up');
    };
    await setUp(node, 'p', '10.244.1.1/24');
    await setUp(pod, 'eth0', '10.244.1.2/24');
    await setUp(node, 'o', '192.0.2.1/24');
    await setUp(outside, 'eth0', '192.0.2.2/24');
    await pod.exec('ip', 'route', 'add', 'default', 'via', '10.244.1.1');
    await node.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    const ping = () => pod.exec('ping', '-c1', '-W1', '192.0.2.2');
    // Outside has no way back to the pod's own address.
    await expect(ping()).rejects.toThrow();
    await setUpMasquerade(run, backend, { ...masquerade(2), addresses: [prefix('10.244.1.2/24')] }, []);
    await ping();
  });
});

describe('the backend', () => {
  test('is iptables where that works', async () => {
    expect(await chooseBackend(firewall().run)).toBe('iptables');
  });

  test('is nftables where iptables does not', async () => {
    const { run } = firewall();
    const without: Run = (program, args, stdin) =>
      run(program === 'iptables' ? 'false' : program, args, stdin);
    expect(await chooseBackend(without)).toBe('nftables');
  });

  test('is none where nothing works, and the error says so of both', async () => {
    const nothing: Run = async (program) => ({ code: -1, stdout: '', stderr: `spawn ${program} ENOENT` });
    await expect(chooseBackend(nothing)).rejects.toThrow(
      'ipMasq needs iptables or nft, and neither works here: iptables: spawn iptables ENOENT; nft: spawn nft ENOENT',
    );
  });
});
