import { describe, expect, test } from 'vitest';
import type { PodMasquerade } from '../../src/firewall/pod-masquerade.ts';
import { digest } from '../../src/firewall/pod-masquerade.ts';
import {
  chainOf,
  iptablesContainers,
  iptablesSetUp,
  iptablesTearDown,
} from '../../src/firewall/pod-masquerade-iptables.ts';
import {
  nftablesCollect,
  nftablesPrefix,
  nftablesRules,
  nftablesSetUp,
  nftablesTearDown,
} from '../../src/firewall/pod-masquerade-nftables.ts';
import { prefix } from '../../src/net/prefix.ts';

const pod: PodMasquerade = {
  network: 'cbr0',
  containerID: 'c1',
  ifname: 'eth0',
  addresses: [prefix('10.244.1.2/24'), prefix('fd00:244:0:1::2/64')],
};
const second = [prefix('10.244.1.9/24'), prefix('10.7.0.2/16')];
const chain = 'CNI-68f1f1eeb62cad3d0bdd579c';
const comment = String.raw`-m comment --comment "name: \"cbr0\" id: \"c1\""`;

describe('names', () => {
  test('are cut from SHA-512, as the reference cuts them', () => {
    expect(digest('unit-test', 16)).toBe('6fd94d501e58f0aa');
    expect(chainOf('cbr0', 'c1')).toBe(chain);
    expect(nftablesPrefix('unit-test', 'eth0', 'c1')).toMatch(/^6fd94d501e58f0aa-[0-9a-f]{16}$/);
  });
});

describe('iptables', () => {
  test('IPv4', () => {
    expect(iptablesSetUp(pod, 4)).toBe(
      [
        '*nat',
        `:${chain} - [0:0]`,
        `-A ${chain} -d 10.244.1.0/24 ${comment} -j ACCEPT`,
        `-A ${chain} ! -d 224.0.0.0/4 ${comment} -j MASQUERADE`,
        `-A POSTROUTING -s 10.244.1.2 ${comment} -j ${chain}`,
        'COMMIT',
        '',
      ].join('\n'),
    );
  });

  test('IPv6', () => {
    expect(iptablesSetUp(pod, 6)).toBe(
      [
        '*nat',
        `:${chain} - [0:0]`,
        `-A ${chain} -d fd00:244:0:1::/64 ${comment} -j ACCEPT`,
        `-A ${chain} ! -d ff00::/8 ${comment} -j MASQUERADE`,
        `-A POSTROUTING -s fd00:244:0:1::2 ${comment} -j ${chain}`,
        'COMMIT',
        '',
      ].join('\n'),
    );
  });

  test('nothing for a family without an address', () => {
    expect(iptablesSetUp({ ...pod, addresses: [prefix('10.244.1.2/24')] }, 6)).toBeUndefined();
  });

  test("keeps the rules of the container's other interfaces, in the chain that they share", () => {
    expect(iptablesSetUp(pod, 4, second)).toContain(
      [
        `:${chain} - [0:0]`,
        `-A ${chain} -d 10.244.1.0/24 ${comment} -j ACCEPT`,
        `-A ${chain} -d 10.7.0.0/16 ${comment} -j ACCEPT`,
        `-A ${chain} ! -d`,
      ].join('\n'),
    );
  });

  const saved = (...lines: string[]) =>
    ['*nat', ':POSTROUTING ACCEPT [0:0]', ...lines, 'COMMIT', ''].join('\n');
  const jump = (address: string, to = chain) => `-A POSTROUTING -s ${address} ${comment} -j ${to}`;

  test('takes away chain and jumps, and no other rule', () => {
    const now = saved(`:${chain} - [0:0]`, jump('10.244.1.2/32'), jump('10.244.1.3/32', 'CNI-other'));
    expect(iptablesTearDown(pod, 4, now)).toBe(
      [
        '*nat',
        `-D POSTROUTING -s 10.244.1.2/32 ${comment} -j ${chain}`,
        `-F ${chain}`,
        `-X ${chain}`,
        'COMMIT',
        '',
      ].join('\n'),
    );
  });

  test('takes away a chain that nothing jumps to any more', () => {
    expect(iptablesTearDown(pod, 4, saved(`:${chain} - [0:0]`))).toBe(
      ['*nat', `-F ${chain}`, `-X ${chain}`, 'COMMIT', ''].join('\n'),
    );
  });

  test('has nothing to do where there is no chain', () => {
    expect(iptablesTearDown(pod, 4, saved())).toBeUndefined();
    expect(iptablesTearDown(pod, 4, '')).toBeUndefined();
  });

  test('leaves the chain while another interface needs it', () => {
    const now = saved(`:${chain} - [0:0]`, jump('10.244.1.2/32'), jump('10.244.1.9/32'));
    expect(iptablesTearDown(pod, 4, now, [prefix('10.244.1.9/24')])).toBe(
      [
        '*nat',
        `:${chain} - [0:0]`,
        `-A ${chain} -d 10.244.1.0/24 ${comment} -j ACCEPT`,
        `-A ${chain} ! -d 224.0.0.0/4 ${comment} -j MASQUERADE`,
        `-D POSTROUTING -s 10.244.1.2/32 ${comment} -j ${chain}`,
        'COMMIT',
        '',
      ].join('\n'),
    );
  });

  test("knows the network's containers by the comments", () => {
    const other = jump('10.9.0.2/32').replace('cbr0', 'other');
    expect(iptablesContainers(saved(jump('10.244.1.2/32'), jump('10.244.1.9/32'), other), 'cbr0')).toEqual([
      'c1',
    ]);
    expect(iptablesContainers('', 'cbr0')).toEqual([]);
  });
});

describe('nftables', () => {
  const tag = `${digest('cbr0', 16)}-${digest('eth0:c1', 16)}`;

  test('is one transaction', () => {
    const table = 'inet cni_plugins_masquerade';
    const text = `comment "${tag}, net: cbr0, if: eth0, id: c1"`;
    expect(nftablesSetUp(pod)).toBe(
      [
        `add table ${table}`,
        `add chain ${table} masq_checks`,
        `add chain ${table} postrouting { type nat hook postrouting priority srcnat; }`,
        `flush chain ${table} postrouting`,
        `add rule ${table} postrouting ip daddr 224.0.0.0/4 return`,
        `add rule ${table} postrouting ip6 daddr ff00::/8 return`,
        `add rule ${table} postrouting goto masq_checks`,
        `add rule ${table} masq_checks ip saddr 10.244.1.2 ip daddr != 10.244.1.0/24 masquerade ${text}`,
        `add rule ${table} masq_checks ip6 saddr fd00:244:0:1::2 ip6 daddr != fd00:244:0:1::/64 masquerade ${text}`,
        '',
      ].join('\n'),
    );
  });

  test('a comment holds 128 bytes', () => {
    const long = nftablesSetUp({ ...pod, containerID: 'c'.repeat(200) });
    const comments = [...long.matchAll(/comment "([^"]*)"/g)].map(([, text]) => text?.length);
    expect(comments).toEqual(pod.addresses.map(() => 128));
  });

  const rules = [
    { handle: 7, comment: `${tag}, net: cbr0, if: eth0, id: c1` },
    { handle: 8, comment: `${nftablesPrefix('cbr0', 'eth0', 'c2')}, net: cbr0, if: eth0, id: c2` },
    { handle: 9, comment: `${nftablesPrefix('other', 'eth0', 'c1')}, net: other, if: eth0, id: c1` },
    { handle: 10, comment: 'of somebody else' },
  ];

  test("takes away the attachment's own by their comment", () => {
    expect(nftablesTearDown(pod, rules)).toBe(
      'delete rule inet cni_plugins_masquerade masq_checks handle 7\n',
    );
    expect(nftablesTearDown({ ...pod, containerID: 'c9' }, rules)).toBeUndefined();
  });

  test("collects the network's that belong to nobody valid", () => {
    const valid = [{ containerID: 'c1', ifname: 'eth0' }];
    expect(nftablesCollect('cbr0', valid, rules)).toBe(
      'delete rule inet cni_plugins_masquerade masq_checks handle 8\n',
    );
    expect(nftablesCollect('third', [], rules)).toBeUndefined();
  });

  test('reads what nft lists', () => {
    const listed = {
      nftables: [{ metainfo: {} }, { rule: { handle: 4, comment: 'x', expr: [] } }, { rule: { handle: 5 } }],
    };
    expect(nftablesRules(JSON.stringify(listed))).toEqual([{ handle: 4, comment: 'x' }]);
    expect(nftablesRules('{}')).toEqual([]);
  });
});
