import { describe, expect, test } from 'vitest';
import { nodeRules, type NodeRulesInput } from '../../src/firewall/node-rules.ts';
import { iptablesNodeRules } from '../../src/firewall/node-rules-iptables.ts';
import { nftablesTable } from '../../src/firewall/node-rules-nftables.ts';
import { prefix } from '../../src/net/prefix.ts';

const input: NodeRulesInput = {
  masquerade: { 4: true, 6: true },
  forward: true,
  randomFully: true,
  networks: [prefix('10.244.0.0/16'), prefix('fd00:244::/56')],
  subnets: [prefix('10.244.1.0/24'), prefix('fd00:244:0:1::/64')],
};

const v4 = `*nat
:FLANNEL-POSTRTG - [0:0]
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.244.1.0/24 -d 10.244.0.0/16 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.244.0.0/16 -d 10.244.1.0/24 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.1.0/24 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.0.0/16 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
COMMIT
*filter
:FLANNEL-FWD - [0:0]
-A FLANNEL-FWD -s 10.244.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
-A FLANNEL-FWD -d 10.244.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
COMMIT
`;

describe('by iptables', () => {
  test('IPv4 has all rules of Go flannel, in its order', () => {
    expect(iptablesNodeRules(nodeRules(input, 4), '')).toBe(v4);
  });

  test('IPv6 has the same with its own addresses', () => {
    const v6 = v4
      .replaceAll('10.244.0.0/16', 'fd00:244::/56')
      .replaceAll('10.244.1.0/24', 'fd00:244:0:1::/64')
      .replaceAll('224.0.0.0/4', 'ff00::/8');
    expect(iptablesNodeRules(nodeRules(input, 6), '')).toBe(v6);
  });

  test('what is there already is not written again; a second jump or another order is', () => {
    const saved = v4.replaceAll('[0:0]', '[3:180]');
    const twice = saved.replace(/(-A FORWARD .*\n)/, '$1$1');
    expect(iptablesNodeRules(nodeRules(input, 4), saved)).toBeUndefined();
    const text = iptablesNodeRules(nodeRules(input, 4), twice) ?? '';
    expect(text).not.toContain('*nat');
    expect(text.match(/^-D FORWARD /gm)?.length).toBe(2);
    const swapped = saved.replace(/(-A FLANNEL-FWD -s .*\n)(-A FLANNEL-FWD -d .*\n)/, '$2$1');
    expect(iptablesNodeRules(nodeRules(input, 4), swapped)).toContain(':FLANNEL-FWD - [0:0]');
  });

  test('without them the chains go, and the jumps before them', () => {
    expect(iptablesNodeRules({}, v4)).toBe(`*nat
-D POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-F FLANNEL-POSTRTG
-X FLANNEL-POSTRTG
COMMIT
*filter
-D FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-F FLANNEL-FWD
-X FLANNEL-FWD
COMMIT
`);
    expect(iptablesNodeRules({}, '')).toBeUndefined();
  });

  test('ports are only as random as they may be', () => {
    const text = iptablesNodeRules(nodeRules({ ...input, randomFully: false }, 4), '');
    expect(text).toBe(v4.replaceAll(' --random-fully', ''));
  });
});

describe('by nftables', () => {
  test('a family without rules has no table, a part without rules no chain', () => {
    expect(nftablesTable({}, 6)).toBeUndefined();
    const { masquerade } = nodeRules(input, 4);
    expect(nftablesTable({ masquerade: masquerade ?? [] }, 4)?.chains).toMatchObject([
      { NFTA_CHAIN_NAME: 'postrtg' },
    ]);
  });

  test.each([
    ['10.0.0.0/8', 'ff000000'],
    ['10.244.0.0/15', 'fffe0000'],
    ['10.96.0.0/12', 'fff00000'],
    ['10.244.1.128/25', 'ffffff80'],
    ['192.0.2.0/30', 'fffffffc'],
  ])('%s is compared under its mask where it ends between two bytes', (network, mask) => {
    const rules = { forward: [{ source: { prefix: prefix(network) }, verdict: 'accept' as const }] };
    const [rule] = nftablesTable(rules, 4)?.rules ?? [];
    const steps = rule?.NFTA_RULE_EXPRESSIONS?.NFTA_LIST_ELEM ?? [];
    const bitwise = steps.find(({ NFTA_EXPR_NAME }) => NFTA_EXPR_NAME === 'bitwise')?.NFTA_EXPR_DATA;
    if (network.endsWith('/8')) expect(bitwise).toBeUndefined();
    else expect(Buffer.from(bitwise ?? []).toString('hex')).toContain(mask);
  });
});
