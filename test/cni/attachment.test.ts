import { describe, expect, test } from 'vitest';
import {
  type AddressInput,
  type PortInput,
  planAddresses,
  planPort,
} from '../../src/cni/attachment/attachment.ts';
import { bridgeStep, isReady } from '../../src/cni/attachment/bridge.ts';
import { vethStep } from '../../src/cni/attachment/veth.ts';
import { address } from '../../src/net/address.ts';
import { mac } from '../../src/net/mac.ts';
import { prefix } from '../../src/net/prefix.ts';
import * as k from '../../src/netlink/constants.ts';
import { viewOf } from '../../src/netlink/payload.ts';

type Input = PortInput & AddressInput;

const options: Input['options'] = {
  bridge: 'cni0',
  isGateway: true,
  isDefaultGateway: true,
  forceAddress: false,
  mtu: 1450,
  hairpinMode: true,
  promiscMode: false,
  portIsolation: false,
  enabledad: false,
  vlan: 0,
  vlanTrunk: [],
  preserveDefaultVlan: false,
};
const bridge: PortInput['bridge'] = {
  ifindex: 3,
  mac: mac('02:00:00:00:00:01'),
  mtu: 1450,
  up: true,
  promisc: false,
  defaultPvid: 1,
  addresses: [],
  adopted: true,
};
const ipv4 = { address: prefix('10.244.1.2/24'), gateway: address('10.244.1.1') };
const ipv6 = { address: prefix('fd00:244:0:1::2/64'), gateway: address('fd00:244:0:1::1') };
const routes = [{ dst: prefix('10.244.0.0/16') }, { dst: prefix('fd00:244::/56') }];

function input(changes: Partial<Input> = {}): Input {
  return {
    options,
    families: [4, 6],
    bridge,
    gateway: { name: 'cni0', ifindex: 3, mac: bridge.mac, addresses: changes.bridge?.addresses ?? [] },
    ips: [ipv4, ipv6],
    routes,
    pod: { ifname: 'eth0', mac: mac('02:00:00:00:00:03'), netnsFd: 9 },
    forwarding: { 4: false, 6: false },
    host: { name: 'veth01020304', mac: mac('02:00:00:00:00:02') },
    ...changes,
  };
}
const withOptions = (changes: Partial<Input['options']>, more: Partial<Input> = {}) =>
  input({ options: { ...options, ...changes }, ...more });

describe('the plan of an attachment', () => {
  const create = k.NLM_F_CREATE | k.NLM_F_EXCL;

  test('first the pair, with the pod end born in the pod', () => {
    const queues = { IFLA_NUM_TX_QUEUES: 1, IFLA_NUM_RX_QUEUES: 1 };
    expect(vethStep(input())).toEqual({
      message: 'newLink',
      flags: create,
      value: {
        ifi_flags: k.IFF_UP,
        ifi_change: k.IFF_UP,
        IFLA_IFNAME: 'veth01020304',
        IFLA_ADDRESS: '02:00:00:00:00:02',
        IFLA_MTU: 1450,
        ...queues,
        IFLA_MASTER: 3,
        IFLA_LINKINFO: {
          IFLA_INFO_KIND: 'veth',
          IFLA_INFO_DATA: {
            VETH_INFO_PEER: {
              IFLA_IFNAME: 'eth0',
              IFLA_ADDRESS: '02:00:00:00:00:03',
              IFLA_MTU: 1450,
              ...queues,
              IFLA_NET_NS_FD: 9,
            },
          },
        },
      },
    });
  });

  const quiet = { AF_INET6: { IFLA_INET6_ADDR_GEN_MODE: k.IN6_ADDR_GEN_MODE_NONE } };
  const hairpin = { IFLA_INFO_SLAVE_KIND: 'bridge', IFLA_INFO_SLAVE_DATA: { IFLA_BRPORT_MODE: 1 } };

  test('then the port, in one message: no link-local address where there is IPv6, and what it is asked to be', () => {
    const port = (changes: Partial<Input>) => planPort(input(changes)).port.map(({ value }) => value);
    const IFLA_IFNAME = 'veth01020304';
    expect(port({})).toEqual([{ IFLA_IFNAME, IFLA_AF_SPEC: quiet, IFLA_LINKINFO: hairpin }]);
    const plain = { ...options, hairpinMode: false };
    expect(port({ options: plain })).toEqual([{ IFLA_IFNAME, IFLA_AF_SPEC: quiet }]);
    const without = { 4: false, 6: undefined };
    expect(port({ forwarding: without })).toEqual([{ IFLA_IFNAME, IFLA_LINKINFO: hairpin }]);
    expect(port({ options: { ...options, mtu: 1200 } })).toEqual([{ IFLA_IFNAME, IFLA_LINKINFO: hairpin }]);
    expect(port({ options: plain, forwarding: without })).toEqual([]);
  });

  test('the pod end comes up, and announces its addresses whenever it comes up again', () => {
    expect(planPort(input()).pod(2)).toEqual([
      {
        message: 'setLink',
        value: {
          ifi_index: 2,
          ifi_flags: k.IFF_UP,
          ifi_change: k.IFF_UP,
          IFLA_AF_SPEC: { AF_INET: { IFLA_INET_CONF: { IPV4_DEVCONF_ARP_NOTIFY: 1 } } },
        },
      },
    ]);
  });

  test('on the node: before the links a link-local address to ask from; then gateways, stale neighbours', () => {
    const plan = planAddresses(input());
    expect(plan.bridge).toEqual([
      {
        message: 'newAddress',
        flags: create,
        tolerate: 'EEXIST',
        value: {
          ifa_family: k.AF_INET6,
          ifa_prefixlen: 64,
          ifa_index: 3,
          IFA_LOCAL: 'fe80::ff:fe00:1',
          IFA_ADDRESS: 'fe80::ff:fe00:1',
          IFA_FLAGS: k.IFA_F_NODAD,
        },
      },
    ]);
    expect(plan.host).toEqual([
      {
        message: 'newAddress',
        flags: create,
        tolerate: 'EEXIST',
        value: {
          ifa_family: k.AF_INET,
          ifa_prefixlen: 24,
          ifa_index: 3,
          IFA_LOCAL: '10.244.1.1',
          IFA_ADDRESS: '10.244.1.1',
          IFA_BROADCAST: '10.244.1.255',
        },
      },
      {
        message: 'newAddress',
        flags: create,
        tolerate: 'EEXIST',
        value: {
          ifa_family: k.AF_INET6,
          ifa_prefixlen: 64,
          ifa_index: 3,
          IFA_LOCAL: 'fd00:244:0:1::1',
          IFA_ADDRESS: 'fd00:244:0:1::1',
          IFA_FLAGS: k.IFA_F_NODAD,
        },
      },
      {
        message: 'delNeighbour',
        tolerate: 'ENOENT',
        value: { ndm_family: k.AF_INET, ndm_ifindex: 3, NDA_DST: '10.244.1.2' },
      },
      {
        message: 'delNeighbour',
        tolerate: 'ENOENT',
        value: { ndm_family: k.AF_INET6, ndm_ifindex: 3, NDA_DST: 'fd00:244:0:1::2' },
      },
    ]);
  });

  test('in the pod: addresses without DAD, routes', () => {
    const steps = planAddresses(input()).pod(2);
    expect(steps.map(({ message }) => message)).toEqual([
      'newAddress',
      'newAddress',
      'newRoute',
      'newRoute',
      'newRoute',
      'newRoute',
    ]);
    expect(steps[1]?.value).toMatchObject({ IFA_LOCAL: 'fd00:244:0:1::2', IFA_FLAGS: k.IFA_F_NODAD });
    expect(steps.slice(2).map(({ value }) => value)).toMatchObject([
      { RTA_DST: '10.244.0.0', rtm_dst_len: 16, RTA_GATEWAY: '10.244.1.1', RTA_OIF: 2 },
      { RTA_DST: 'fd00:244::', rtm_dst_len: 56, RTA_GATEWAY: 'fd00:244:0:1::1', RTA_OIF: 2 },
      { rtm_family: k.AF_INET, rtm_dst_len: 0, RTA_GATEWAY: '10.244.1.1' },
      { rtm_family: k.AF_INET6, rtm_dst_len: 0, RTA_GATEWAY: 'fd00:244:0:1::1' },
    ]);
  });

  test('afterwards the IPv4 gateway is asked for, which makes the pod known', () => {
    const told = (ips: Input['ips'], changes: Partial<Input['options']> = {}) =>
      planAddresses(withOptions(changes, { ips }))
        .announcements(2)
        .map(({ codec, body, flags }) => [flags, codec.decode(viewOf(body), 0, body.length)]);
    const about = { ndm_family: k.AF_INET, ndm_ifindex: 2, NDA_DST: '10.244.1.1' };
    expect(told([ipv4, ipv6])).toMatchObject([
      [k.NLM_F_CREATE, { ...about, ndm_flags: k.NTF_USE }],
      [0, { ...about, ndm_flags: 0 }],
    ]);
    expect(told([ipv6])).toEqual([]);
    // It is somebody else's, and may take its time.
    expect(told([ipv4], { isGateway: false, isDefaultGateway: false })).toHaveLength(1);
  });

  test('sysctls: what the reference writes, forwarding only where it is off', () => {
    const { sysctls } = planPort(
      input({ forwarding: { 4: true, 6: false }, bridge: { ...bridge, adopted: false } }),
    );
    expect(
      sysctls.map(({ where, path, value, required }) => `${where} ${path}=${value}${required ? '!' : ''}`),
    ).toEqual([
      'host net/ipv6/conf/cni0/accept_ra=0',
      'host net/ipv6/conf/all/forwarding=1!',
      'pod net/ipv6/conf/lo/disable_ipv6=0!',
      'pod net/ipv6/conf/eth0/disable_ipv6=0!',
      'pod net/ipv6/conf/eth0/keep_addr_on_down=1!',
      'pod net/ipv6/conf/eth0/accept_dad=0',
    ]);
  });

  test('no forwarding for a bridge that is no gateway', () => {
    const none = withOptions({ isGateway: false, isDefaultGateway: false });
    const { bridge: before, host } = planAddresses(none);
    expect(planPort(none).sysctls.filter(({ path }) => /forward/.test(path))).toEqual([]);
    expect(before).toEqual([]);
    expect(host.map(({ message }) => message)).toEqual(['delNeighbour', 'delNeighbour']);
  });

  test('the answer has the gateways and default routes that the bridge adds', () => {
    const { ips, routes: answered } = planAddresses(input({ ips: [{ address: prefix('10.244.1.2/24') }] }));
    expect(ips).toEqual([{ address: '10.244.1.2/24', gateway: '10.244.1.1' }]);
    expect(answered).toEqual([...routes, { dst: '0.0.0.0/0', gw: '10.244.1.1' }]);
  });

  test('a default route of the configuration stands, with a gateway or without', () => {
    for (const own of [
      { dst: prefix('0.0.0.0/0') },
      { dst: prefix('0.0.0.0/0'), gw: address('10.244.1.9') },
    ]) {
      const plan = planAddresses(input({ ips: [ipv4], routes: [own] }));
      expect(plan.routes).toEqual([own]);
      expect(plan.pod(2).at(-1)?.value).toMatchObject({ RTA_GATEWAY: own.gw ?? '10.244.1.1' });
    }
  });

  test('a route that is written twice is meant once', () => {
    expect(planAddresses(input({ ips: [ipv4], routes: [routes[0]!, routes[0]!] })).routes).toHaveLength(2);
  });

  test('a route keeps its mtu, advmss, priority, table and scope', () => {
    const route = {
      dst: prefix('172.16.0.0/12'),
      mtu: 1300,
      advmss: 1200,
      priority: 7,
      table: 1000,
      scope: 253,
    };
    const steps = planAddresses(input({ ips: [ipv4], routes: [route] })).pod(2);
    expect(steps.find(({ message }) => message === 'newRoute')?.value).toMatchObject({
      RTA_METRICS: { RTAX_MTU: 1300, RTAX_ADVMSS: 1200 },
      RTA_PRIORITY: 7,
      RTA_TABLE: 1000,
      rtm_table: k.RT_TABLE_UNSPEC,
      rtm_scope: 253,
    });
  });

  test("only IPv6 routes to other nodes carry the network's smaller MTU", () => {
    const values = planAddresses(input({ ipv6RouteMtu: 1430 }))
      .pod(2)
      .map(({ value }) => value);
    const metrics = values.flatMap((value) => ('RTA_OIF' in value ? [value.RTA_METRICS] : []));
    expect(metrics).toEqual([undefined, { RTAX_MTU: 1430 }, undefined, undefined]);
  });

  test('with enabledad the pod detects duplicates', () => {
    const detecting = withOptions({ enabledad: true });
    const { sysctls } = planPort(detecting);
    expect(planAddresses(detecting).pod(2)[1]?.value).not.toHaveProperty('IFA_FLAGS');
    expect(sysctls.map(({ path, value }) => `${path}=${value}`)).toEqual(
      expect.arrayContaining(['net/ipv6/conf/eth0/enhanced_dad=1', 'net/ipv6/conf/eth0/accept_dad=1']),
    );
  });

  test('portIsolation isolates the port', () => {
    const [port] = planPort(withOptions({ portIsolation: true, hairpinMode: false })).port;
    expect(port?.value).toMatchObject({
      IFLA_LINKINFO: { IFLA_INFO_SLAVE_DATA: { IFLA_BRPORT_ISOLATED: 1 } },
    });
  });
});

describe('the bridge', () => {
  test('is made up, with a MAC of its own', () => {
    expect(bridgeStep(options, mac('02:00:00:00:00:01')).value).toEqual({
      ifi_flags: k.IFF_UP,
      ifi_change: k.IFF_UP,
      IFLA_IFNAME: 'cni0',
      IFLA_ADDRESS: '02:00:00:00:00:01',
      IFLA_MTU: 1450,
      IFLA_LINKINFO: { IFLA_INFO_KIND: 'bridge' },
    });
  });

  test('that is there is set up as far as it is not: up, promiscuous, MAC pinned', () => {
    const found = { ...bridge, up: false, adopted: false };
    const { bridge: steps } = planAddresses(
      withOptions({ promiscMode: true, hairpinMode: false }, { bridge: found }),
    );
    expect(steps.slice(0, 3)).toEqual([
      { message: 'setLink', value: { ifi_index: 3, ifi_flags: k.IFF_UP, ifi_change: k.IFF_UP } },
      { message: 'setLink', value: { ifi_index: 3, ifi_flags: k.IFF_PROMISC, ifi_change: k.IFF_PROMISC } },
      { message: 'setLink', value: { ifi_index: 3, IFLA_ADDRESS: '02:00:00:00:00:01' } },
    ]);
  });

  test('that has the gateways gets none', () => {
    const addresses = [prefix('10.244.1.1/24'), prefix('fd00:244:0:1::1/64')];
    const { bridge: before, host } = planAddresses(input({ bridge: { ...bridge, addresses } }));
    expect(before).toEqual([]);
    expect(host.map(({ message }) => message)).toEqual(['delNeighbour', 'delNeighbour']);
  });

  test.each(['10.9.9.1/24', '10.244.1.1/16', 'fd00:244:0:1::9/64'])('that has %s is refused', (other) => {
    const found = { ...bridge, addresses: [prefix(other)] };
    expect(() => planAddresses(input({ bridge: found }))).toThrow(
      /"cni0" already has an IP address different from .*: it has .*forceAddress/,
    );
  });

  test('loses it with forceAddress, when the links are made', () => {
    const addresses = [prefix('10.9.9.1/24'), prefix('fd00:9::1/64')];
    const { bridge: before, host: steps } = planAddresses(
      withOptions(
        { forceAddress: true },
        { gateway: { name: 'cni0', ifindex: 3, mac: bridge.mac, addresses } },
      ),
    );
    expect(before.map(({ message }) => message)).toEqual(['newAddress']);
    expect(steps.filter(({ message }) => message === 'delAddress').map(({ value }) => value)).toMatchObject([
      { IFA_LOCAL: '10.9.9.1', ifa_prefixlen: 24 },
    ]);
  });

  test('keeps an IPv6 address of another network beside the gateway', () => {
    const found = { ...bridge, addresses: [prefix('fd00:9::1/64')] };
    const { host: steps } = planAddresses(input({ bridge: found, ips: [ipv6] }));
    expect(steps.map(({ message }) => message)).not.toContain('delAddress');
    expect(steps[0]?.value).toMatchObject({ IFA_LOCAL: 'fd00:244:0:1::1' });
  });
});

describe('links may be made before there are addresses', () => {
  const range = (subnet: string, gateway: string) => ({ subnet: prefix(subnet), gateway: address(gateway) });
  const ranges = [range('10.244.1.0/24', '10.244.1.1'), range('fd00:244:0:1::/64', 'fd00:244:0:1::1')];
  const whole = { ...bridge, addresses: [prefix('10.244.1.1/24'), prefix('fd00:244:0:1::1/64')] };

  test('where the bridge needs nothing', () => {
    expect(isReady({ bridge: whole, options }, ranges)).toBe(true);
    const noGateway = { ...options, isGateway: false, isDefaultGateway: false };
    expect(isReady({ bridge, options: noGateway }, ranges)).toBe(true);
  });

  test.each<[string, Partial<typeof whole>, Partial<Input['options']>]>([
    ['it is not adopted', { adopted: false }, {}],
    ['it is down', { up: false }, {}],
    ['it lacks a gateway', { addresses: [prefix('10.244.1.1/24')] }, {}],
    ['its gateway has another length', { addresses: [prefix('10.244.1.1/16'), whole.addresses[1]!] }, {}],
    ['it is to be promiscuous', {}, { promiscMode: true }],
    ['there are VLANs', {}, { vlan: 7 }],
  ])('not where %s', (_, changes, changed) => {
    expect(isReady({ bridge: { ...whole, ...changes }, options: { ...options, ...changed } }, ranges)).toBe(
      false,
    );
  });
});

describe('VLANs', () => {
  const flags = k.BRIDGE_VLAN_INFO_PVID | k.BRIDGE_VLAN_INFO_UNTAGGED;
  const infos = (changes: Partial<Input['options']>, defaultPvid = 1) =>
    planPort(withOptions(changes, { bridge: { ...bridge, defaultPvid } }))
      .vlans(7)
      .map(({ message, value }) => [
        message,
        'IFLA_AF_SPEC' in value && value.IFLA_AF_SPEC && 'IFLA_BRIDGE_VLAN_INFO' in value.IFLA_AF_SPEC
          ? value.IFLA_AF_SPEC.IFLA_BRIDGE_VLAN_INFO
          : undefined,
      ]);

  test('none are set when none are asked for', () => {
    expect(infos({})).toEqual([]);
  });

  test('vlan: out of the default one, into this one', () => {
    expect(infos({ vlan: 100 })).toEqual([
      ['delLink', [{ flags: 0, vid: 1 }]],
      ['setLink', [{ flags, vid: 100 }]],
    ]);
  });

  test('preserveDefaultVlan stays there too', () => {
    expect(infos({ vlan: 100, preserveDefaultVlan: true })).toEqual([['setLink', [{ flags, vid: 100 }]]]);
  });

  test('a bridge without a default VLAN has nothing to leave', () => {
    expect(infos({ vlan: 100 }, 0)).toEqual([['setLink', [{ flags, vid: 100 }]]]);
  });

  test('vlanTrunk: tagged, and what is untagged in VLAN 1', () => {
    expect(infos({ vlanTrunk: [3, 4] })).toEqual([
      ['delLink', [{ flags: 0, vid: 1 }]],
      [
        'setLink',
        [
          { flags, vid: 1 },
          { flags: 0, vid: 3 },
          { flags: 0, vid: 4 },
        ],
      ],
    ]);
  });

  test('the bridge filters', () => {
    expect(bridgeStep({ ...options, vlan: 100 }, mac('02:00:00:00:00:01')).value).toMatchObject({
      IFLA_LINKINFO: { IFLA_INFO_KIND: 'bridge', IFLA_INFO_DATA: { IFLA_BR_VLAN_FILTERING: 1 } },
    });
  });
});
