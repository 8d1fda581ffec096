import { describe, expect, test } from 'vitest';
import { effectiveNetwork } from '../../src/daemon/network/effective-network.ts';
import { ConfigurationError } from '../../src/daemon/network/network-config.ts';
import { given } from './options-given.ts';

const name = 'net-conf.json';
const network = (file: object | undefined, ...args: string[]) =>
  effectiveNetwork({ ...given(...args), file: file && { name, text: JSON.stringify(file) } });
const vxlan = { Network: '10.244.0.0/16', Backend: { Type: 'vxlan' } };

describe('without net-conf.json', () => {
  test('the network is K3s’s', () => {
    const { config, warnings } = network(
      undefined,
      '--cluster-cidr=10.42.0.0/16,fd00:42::/56',
      '--flannel-backend=wireguard-native',
    );
    expect(config).toMatchObject({
      network: { ipv4: '10.42.0.0/16', ipv6: 'fd00:42::/56' },
      enableNFTables: false,
      backendType: 'wireguard',
      backend: { Type: 'wireguard', PersistentKeepaliveInterval: 25 },
    });
    expect(warnings).toEqual([]);
  });

  test('the families are those of the ranges', () => {
    expect(network(undefined, '--cluster-cidr=fd00:42::/56').config.network).toEqual({
      ipv6: 'fd00:42::/56',
    });
    expect(network(undefined, '--flannel-backend=host-gw').config).toMatchObject({
      network: { ipv4: '10.42.0.0/16' },
      backendType: 'host-gw',
    });
  });

  test('warnings name the flag', () => {
    expect(network(undefined, '--flannel-backend=ipsec').warnings).toEqual([
      expect.stringMatching(/^--flannel-backend: "ipsec" is deprecated/),
    ]);
  });
});

describe('with net-conf.json', () => {
  test('options fill in what it does not say', () => {
    const { config } = network(
      { enableNFTables: true },
      '--cluster-cidr=10.42.0.0/16,fd00:42::/56',
      '--flannel-backend=host-gw',
    );
    expect(config).toMatchObject({
      network: { ipv4: '10.42.0.0/16', ipv6: 'fd00:42::/56' },
      enableNFTables: true,
      backendType: 'host-gw',
    });
    expect(network({ Backend: { Type: 'vxlan' } }, '--cluster-cidr=fd00:42::/56').config.network).toEqual({
      ipv6: 'fd00:42::/56',
    });
  });

  test('what both say is no contradiction', () => {
    const wireguard = { type: 'WireGuard', PersistentKeepaliveInterval: 5 };
    const { config } = network(
      { network: '10.42.9.9/16', backend: wireguard },
      '--cluster-cidr=10.42.0.0/16',
      '--flannel-backend=wireguard-native',
    );
    // 25 would be K3s's usual value, which nobody has asked for.
    expect(config.backend).toMatchObject({ PersistentKeepaliveInterval: 5 });
  });

  const mean = 'they mean the same, change one or leave it out';
  test.each([
    [
      vxlan,
      ['--flannel-backend=host-gw'],
      [`--flannel-backend says host-gw, net-conf.json: Backend.Type says vxlan: ${mean}`],
    ],
    [
      { ...vxlan, Backend: { Type: 'wireguard', mode: 'auto' } },
      ['--flannel-backend=wireguard-native=Mode=ipv4,PersistentKeepaliveInterval=9'],
      [
        `--flannel-backend says ipv4, net-conf.json: Backend.Mode says auto: ${mean}`,
        `--flannel-backend says 9, net-conf.json: Backend.PersistentKeepaliveInterval says nothing: ${mean}`,
      ],
    ],
    [
      vxlan,
      ['--cluster-cidr=10.42.0.0/16'],
      [`--cluster-cidr says 10.42.0.0/16, net-conf.json: Network says 10.244.0.0/16: ${mean}`],
    ],
    [
      { ...vxlan, EnableIPv6: false },
      ['--cluster-cidr=10.244.0.0/16,fd00:42::/56', '--flannel-backend=none'],
      [
        `--cluster-cidr says fd00:42::/56, net-conf.json: IPv6Network says no IPv6: ${mean}`,
        `--flannel-backend says none, net-conf.json: Backend.Type says vxlan: ${mean}`,
      ],
    ],
    [
      { ...vxlan, EnableIPv6: true, IPv6Network: 'fd00:42::/56' },
      ['--cluster-cidr=10.244.0.0/16'],
      [`--cluster-cidr says no IPv6, net-conf.json: IPv6Network says fd00:42::/56: ${mean}`],
    ],
    [
      { Network: 7, EnableIPv6: 1 },
      ['--flannel-backend=vxlan=VNI=1'],
      [
        '--flannel-backend: vxlan takes no options here: put them into net-conf.json, and name it by --flannel-conf',
        'net-conf.json: Network must be a string, and is a number',
        'net-conf.json: EnableIPv6 must be true or false, and is a number',
      ],
    ],
  ])('%j against %j', (file, args, findings) => {
    expect(() => network(file, ...args)).toThrow(new ConfigurationError(undefined, findings));
  });
});

describe('pods are hidden behind their node:', () => {
  test.each([
    [[], false, false],
    [['--ip-masq'], true, true],
    [['--ip-masq', '--ipv6-masq=false'], true, false],
    [['--cluster-cidr=10.244.0.0/16'], true, false],
    [['--cluster-cidr=10.244.0.0/16', '--flannel-ipv6-masq'], true, true],
    [['--flannel-ipv6-masq'], false, false],
    [['--flannel-backend=vxlan', '--ip-masq=false', '--flannel-ipv6-masq'], false, false],
    [['--flannel-backend=vxlan', '--ip-masq'], true, true],
  ])('%j: IPv4 %s, IPv6 %s', (args, ipv4, ipv6) => {
    expect(network(vxlan, ...args).masquerade).toEqual({ 4: ipv4, 6: ipv6 });
  });
});
