import { describe, expect, test } from 'vitest';
import { nodeRules, type NodeRulesInput } from '../../src/firewall/node-rules.ts';
import { iptablesNodeRules } from '../../src/firewall/node-rules-iptables.ts';
import { nftablesNodeRules } from '../../src/firewall/node-rules-nftables.ts';
import { prefix } from '../../src/net/prefix.ts';

const input: NodeRulesInput = {
  masquerade: true,
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
  const only4 = { 4: nodeRules(input, 4), 6: {} };

  test('the tables are made anew in one script, and a family without rules has none', () => {
    expect(nftablesNodeRules(only4)).toBe(`add table ip flannel-ipv4
delete table ip flannel-ipv4
add table ip flannel-ipv4 { comment "rules for flannel-ipv4"; }
add chain ip flannel-ipv4 postrtg { type nat hook postrouting priority 100; comment "chain to manage traffic masquerading by flannel"; }
add rule ip flannel-ipv4 postrtg meta mark & 0x4000 == 0x4000 return
add rule ip flannel-ipv4 postrtg ip saddr 10.244.1.0/24 ip daddr 10.244.0.0/16 return
add rule ip flannel-ipv4 postrtg ip saddr 10.244.0.0/16 ip daddr 10.244.1.0/24 return
add rule ip flannel-ipv4 postrtg ip saddr != 10.244.0.0/16 ip daddr 10.244.1.0/24 return
add rule ip flannel-ipv4 postrtg ip saddr 10.244.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random
add rule ip flannel-ipv4 postrtg ip saddr != 10.244.0.0/16 ip daddr 10.244.0.0/16 masquerade fully-random
add chain ip flannel-ipv4 forward { type filter hook forward priority 0; comment "chain to accept flannel traffic"; }
add rule ip flannel-ipv4 forward ip saddr 10.244.0.0/16 accept
add rule ip flannel-ipv4 forward ip daddr 10.244.0.0/16 accept
add table ip6 flannel-ipv6
delete table ip6 flannel-ipv6
`);
  });

  test('dual stack has both tables', () => {
    const text = nftablesNodeRules({ 4: nodeRules(input, 4), 6: nodeRules(input, 6) });
    expect(text).toContain('ip6 saddr fd00:244::/56 ip6 daddr != ff00::/8 masquerade fully-random');
    expect(text).toContain('ip saddr 10.244.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random');
  });
});
