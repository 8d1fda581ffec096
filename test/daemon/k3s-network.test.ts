import { describe, expect, test } from 'vitest';
import { k3sNetConf } from '../../src/daemon/options/k3s-network.ts';
import { address } from '../../src/net/address.ts';
import { prefix } from '../../src/net/prefix.ts';

const backend = { Type: 'vxlan' };
const written = (ranges: string[], nodeIPs: string[] = []) =>
  JSON.stringify(
    k3sNetConf({ clusterCidr: ranges.map(prefix), nodeIPs: nodeIPs.map((text) => address(text)), backend }),
  );

describe('net-conf.json is as K3s writes it', () => {
  test.each([
    [
      'IPv4',
      ['10.42.0.0/16'],
      [],
      '{"Network":"10.42.0.0/16","EnableIPv6":false,"EnableIPv4":true,"IPv6Network":"::/0","Backend":{"Type":"vxlan"}}',
    ],
    [
      'dual',
      ['10.42.0.0/16', '2001:cafe:42::/56'],
      [],
      '{"Network":"10.42.0.0/16","EnableIPv6":true,"EnableIPv4":true,"IPv6Network":"2001:cafe:42::/56","Backend":{"Type":"vxlan"}}',
    ],
    [
      'dual, IPv6 first',
      ['2001:cafe:42::/56', '10.42.0.0/16'],
      [],
      '{"Network":"10.42.0.0/16","EnableIPv6":true,"EnableIPv4":true,"IPv6Network":"2001:cafe:42::/56","Backend":{"Type":"vxlan"}}',
    ],
    [
      'IPv6',
      ['2001:cafe:42::/56'],
      [],
      '{"Network":"0.0.0.0/0","EnableIPv6":true,"EnableIPv4":false,"IPv6Network":"2001:cafe:42::/56","Backend":{"Type":"vxlan"}}',
    ],
    [
      'nothing asked',
      [],
      [],
      '{"Network":"10.42.0.0/16","EnableIPv6":false,"EnableIPv4":true,"IPv6Network":"::/0","Backend":{"Type":"vxlan"}}',
    ],
    [
      'nothing asked, the node’s first address IPv4',
      [],
      ['10.0.0.1', 'fd00::1'],
      '{"Network":"10.42.0.0/16","EnableIPv6":false,"EnableIPv4":true,"IPv6Network":"::/0","Backend":{"Type":"vxlan"}}',
    ],
    [
      'nothing asked, the node’s first address IPv6',
      [],
      ['fd00::1', '10.0.0.1'],
      '{"Network":"0.0.0.0/0","EnableIPv6":true,"EnableIPv4":false,"IPv6Network":"fd00:42::/56","Backend":{"Type":"vxlan"}}',
    ],
  ])('%s', (_name, ranges, nodeIPs, document) => {
    expect(written(ranges, nodeIPs)).toBe(document);
  });
});
