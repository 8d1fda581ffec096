import { describe, expect, test } from 'vitest';
import { effectiveNetwork } from '../../../src/daemon/network/effective-network.ts';
import type { NodeRange } from '../../../src/daemon/validation/finding.ts';
import { validate } from '../../../src/daemon/validation/validate.ts';
import { address } from '../../../src/net/address.ts';
import { type Prefix, prefix } from '../../../src/net/prefix.ts';
import { given } from '../options-given.ts';

const found = (args: string[], nodeRanges: NodeRange[] = [], previous: Prefix[] = [], was = false) => {
  const asked = given(...args);
  const network = effectiveNetwork({ ...asked, file: undefined });
  return validate({ ...asked, network, nodeRanges, previous, wasIn: () => was }).map(
    ({ severity, text }) => `${severity}: ${text}`,
  );
};

const v4 = '--cluster-cidr=10.42.0.0/16';
const dual = '--cluster-cidr=10.42.0.0/16,2001:cafe:42::/56';
const ula = '--cluster-cidr=10.42.0.0/16,fd00:42::/56';

describe('nothing is found where all is well:', () => {
  test.each([
    [[v4]],
    [[v4, '--service-cidr=10.43.0.0/16', '--node-ip=192.0.2.1']],
    [[dual, '--service-cidr=10.43.0.0/16,2001:cafe:43::/112', '--node-ip=192.0.2.1,2001:db8::1']],
    [['--cluster-cidr=2001:cafe:42::/56', '--service-cidr=2001:cafe:43::/108', '--node-ip=2001:db8::1']],
    [[ula, '--flannel-ipv6-masq']],
    [['--cluster-cidr=10.42.0.0/24']],
    [['--cluster-cidr=10.42.0.0/26', '--kube-controller-manager-arg=node-cidr-mask-size=26']],
    [['--cluster-cidr=2001:cafe:42::/48', '--service-cidr=2001:cafe:43::/112']],
    [[v4, '--flannel-backend=wireguard-native', '--flannel-external-ip', '--node-external-ip=203.0.113.1']],
    [[v4, '--node-external-ip=203.0.113.1']],
  ])('%j', (args) => {
    expect(found(args)).toEqual([]);
  });
});

describe('what is found:', () => {
  const same = 'need the same families';
  test.each([
    [
      ['--cluster-cidr=10.42.0.0/16,10.44.0.0/16'],
      [
        'error: --cluster-cidr has 2 IPv4 ranges (10.42.0.0/16, 10.44.0.0/16): one of each family is possible',
      ],
    ],
    [
      [dual, '--service-cidr=10.43.0.0/16'],
      [`error: --cluster-cidr is IPv4 and IPv6, and --service-cidr is IPv4: pods and services ${same}`],
    ],
    [
      [v4, '--service-cidr=fd00:43::/112', '--node-ip=fd00::1'],
      [
        `error: --cluster-cidr is IPv4, and --service-cidr is IPv6: pods and services ${same}`,
        `error: --cluster-cidr is IPv4, and --node-ip is IPv6: pods and nodes ${same}`,
      ],
    ],
    [
      [dual, '--node-ip=192.0.2.1'],
      [`error: --cluster-cidr is IPv4 and IPv6, and --node-ip is IPv4: pods and nodes ${same}`],
    ],
    [
      ['--cluster-cidr=2001:cafe:42::/56,10.42.0.0/16', '--node-ip=192.0.2.1,2001:db8::1'],
      [
        'hint: --node-ip begins with IPv4, --cluster-cidr with IPv6: write 2001:db8::1,192.0.2.1, so that kubelet takes the same first',
      ],
    ],
    [
      ['--cluster-cidr=10.42.0.0/25'],
      [
        "error: --cluster-cidr 10.42.0.0/25 is smaller than a node's subnet, a /24: make the range larger, or give --kube-controller-manager-arg=node-cidr-mask-size-ipv4=N",
      ],
    ],
    [
      ['--cluster-cidr=2001:cafe::/40'],
      [
        'error: --cluster-cidr 2001:cafe::/40 has room for more subnets (/64) than kube-controller-manager can count: its length must be 48 at least',
      ],
    ],
    [
      [
        dual,
        '--kube-controller-manager-arg=bind-address=0.0.0.0',
        '--kube-controller-manager-arg=node-cidr-mask-size-ipv6=80',
      ],
      [
        'error: --cluster-cidr 2001:cafe:42::/56 has room for more subnets (/80) than kube-controller-manager can count: its length must be 64 at least',
      ],
    ],
    [
      ['--cluster-cidr=172.16.0.0/16', '--service-cidr=10.0.0.0/11'],
      ['error: --service-cidr 10.0.0.0/11 is too large: its length must be 12 at least'],
    ],
    [
      ['--cluster-cidr=2001:cafe:42::/56', '--service-cidr=2001:cafe:43::/64'],
      ['error: --service-cidr 2001:cafe:43::/64 is too large: its length must be 108 at least'],
    ],
    [
      [v4, '--service-cidr=10.42.128.0/20'],
      [
        'error: --cluster-cidr 10.42.0.0/16 and --service-cidr 10.42.128.0/20 overlap: pods and services need ranges of their own',
      ],
    ],
    [
      [ula],
      [
        "hint: the pods' IPv6 addresses fd00:42::/56 are local ones, and without --flannel-ipv6-masq they reach nothing outside of the cluster",
      ],
    ],
    [
      [v4, '--flannel-external-ip'],
      ['warning: --flannel-external-ip has no effect on this node without --node-external-ip'],
    ],
    [
      [v4, '--flannel-external-ip', '--node-external-ip=203.0.113.1'],
      [
        'warning: --flannel-external-ip with the backend vxlan sends the traffic of pods unencrypted over the networks between the nodes: wireguard-native encrypts it',
      ],
    ],
    [
      [v4, '--flannel-backend=host-gw', '--flannel-external-ip', '--node-external-ip=203.0.113.1'],
      [
        'error: --flannel-external-ip does not go with host-gw, whose nodes are all in one network: leave it out, or use wireguard-native',
      ],
    ],
    [
      [
        v4,
        '--flannel-backend=wireguard-native',
        '--flannel-external-ip',
        '--node-external-ip=203.0.113.1',
        '--public-ip=203.0.113.2',
      ],
      [
        'error: --public-ip says 203.0.113.2, --node-external-ip with --flannel-external-ip says 203.0.113.1: they mean the same, leave one of them out',
      ],
    ],
    [
      [v4, '--public-ip=127.0.0.1', '--node-ip=224.0.0.1', '--node-external-ip=0.0.0.0'],
      [
        'error: --public-ip 127.0.0.1 is a loopback address: other nodes cannot reach this one there',
        'error: --node-ip 224.0.0.1 is a multicast address: other nodes cannot reach this one there',
        'error: --node-external-ip 0.0.0.0 is no address of a node: other nodes cannot reach this one there',
      ],
    ],
    [
      [v4, '--public-ip=10.42.3.1'],
      [
        'error: --public-ip 10.42.3.1 is inside of the flannel network 10.42.0.0/16: nodes need addresses outside of it',
      ],
    ],
  ])('%j', (args, findings) => {
    expect(found(args)).toEqual(findings);
  });

  test('everything at once', () => {
    const args = [
      '--cluster-cidr=10.42.0.0/25,10.42.0.0/16',
      '--service-cidr=10.42.0.0/11,fd00::/64',
      '--public-ip=127.0.0.1',
    ];
    expect(found(args)).toHaveLength(7);
  });
});

describe('the node’s own networks', () => {
  const net = (link: string, own: string, range: string): NodeRange => ({
    link,
    address: address(own),
    range: prefix(range),
  });
  const route = (link: string, range: string): NodeRange => ({ link, range: prefix(range) });
  const args = [v4, '--service-cidr=10.43.0.0/16'];

  test.each([
    [
      net('eth0', '10.42.7.1', '10.42.7.0/24'),
      'error: --cluster-cidr 10.42.0.0/16 and the network 10.42.7.0/24 of eth0 overlap: choose another range, or take eth0 away if nothing needs it',
    ],
    [
      net('docker0', '10.43.0.1', '10.43.0.0/20'),
      'error: --service-cidr 10.43.0.0/16 and the network 10.43.0.0/20 of docker0 overlap: choose another range, or take docker0 away if nothing needs it',
    ],
    [
      net('eth0', '10.42.7.1', '10.32.0.0/11'),
      'error: --cluster-cidr 10.42.0.0/16 and the network 10.32.0.0/11 of eth0 overlap: choose another range, or take eth0 away if nothing needs it',
    ],
    [
      net('eth0', '10.41.7.1', '10.40.0.0/14'),
      "warning: --cluster-cidr 10.42.0.0/16 and the network 10.40.0.0/14 of eth0 overlap: what is in both is out of this node's reach",
    ],
    [
      route('tun0', '10.42.0.0/15'),
      'warning: --cluster-cidr 10.42.0.0/16 and routes of this node overlap (10.42.0.0/15 by tun0): what is in both is out of reach by one of them',
    ],
  ])('%j', (range, finding) => {
    expect(found(args, [range])[0]).toBe(finding);
  });

  test('are no reason to refuse a node that has worked with them: they may be a bridge of its pods', () => {
    expect(found(args, [net('pods0', '10.42.7.1', '10.42.7.0/24')], [], true)).toEqual([
      "warning: --cluster-cidr 10.42.0.0/16 and the network 10.42.7.0/24 of pods0 overlap: what is in both is out of this node's reach",
    ]);
  });

  test('are told once each, and of many routes only some', () => {
    const twice = [net('eth0', '10.42.7.1', '10.42.7.0/24'), net('eth0', '10.42.7.2', '10.42.7.0/24')];
    expect(found(args, twice)).toHaveLength(1);
    const many = Array.from({ length: 100 }, (_, i) => route('bird0', `10.42.${i}.0/24`));
    expect(found(args, many)).toEqual([
      'warning: --cluster-cidr 10.42.0.0/16 and routes of this node overlap (10.42.0.0/24 by bird0, 10.42.1.0/24 by bird0, 10.42.2.0/24 by bird0 and 97 more): what is in both is out of reach by one of them',
    ]);
  });

  test.each([
    ['flannel’s devices', net('flannel.1', '10.42.1.0', '10.42.1.0/24')],
    ['its bridge', net('cni0', '10.42.1.1', '10.42.1.0/24')],
    ['kube-proxy’s services', net('kube-ipvs0', '10.43.0.1', '10.43.0.0/24')],
    ['a bridge of another name with the subnet of before', net('cbr7', '10.42.1.1', '10.42.1.0/24')],
    ['a network elsewhere', net('eth0', '192.0.2.1', '192.0.2.0/24')],
  ])('do not collide with %s', (_what, range) => {
    expect(found(args, [range], [prefix('10.42.1.1/24')])).toEqual([]);
  });
});
