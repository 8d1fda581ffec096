import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { address } from '../../src/net/address.ts';
import { mac } from '../../src/net/mac.ts';
import * as k from '../../src/netlink/constants.ts';
import { getFamily } from '../../src/netlink/generic/family.ts';
import { delAddress, getAddresses, newAddress } from '../../src/netlink/route/address.ts';
import { delLink, getLink, newLink, setLink } from '../../src/netlink/route/link.ts';
import { delNeighbour, getNeighbours, newNeighbour } from '../../src/netlink/route/neighbour.ts';
import { delNexthop, getNexthops, newNexthop } from '../../src/netlink/route/nexthop.ts';
import { delRoute, getRoutes, newRoute } from '../../src/netlink/route/route.ts';
import { SyncSession } from '../../src/netlink/session.ts';
import { openSocket } from '../../src/netlink/socket.ts';
import { createNetns, type Netns } from '../kit/netns.ts';

/** Each kind of message, put to the kernel, must do what iproute2 then shows. */

const binding = loadBinding();
let node: Netns;
let pod: Netns;
let session: SyncSession;

beforeAll(() => {
  node = createNetns();
  pod = createNetns();
  session = new SyncSession(openSocket(binding, { netnsFd: node.fd }));
});

afterAll(() => {
  session.close();
  node.remove();
  pod.remove();
});

const indexOf = (name: string): number => session.request(getLink({ IFLA_IFNAME: name }))[0]?.ifi_index ?? -1;
const up = { ifi_flags: k.IFF_UP, ifi_change: k.IFF_UP };

describe('links', () => {
  test('a bridge with its settings', async () => {
    session.request(
      newLink({
        ...up,
        IFLA_IFNAME: 'cni0',
        IFLA_MTU: 1450,
        IFLA_ADDRESS: mac('0a:58:0a:f4:01:01'),
        IFLA_TXQLEN: 1000,
        IFLA_LINKINFO: { IFLA_INFO_KIND: 'bridge', IFLA_INFO_DATA: { IFLA_BR_AGEING_TIME: 12_300 } },
      }),
    );
    expect(await node.json('ip', '-d', 'link', 'show', 'cni0')).toMatchObject([
      {
        ifname: 'cni0',
        mtu: 1450,
        address: '0a:58:0a:f4:01:01',
        flags: expect.arrayContaining(['UP']),
        linkinfo: { info_kind: 'bridge', info_data: { ageing_time: 12_300 } },
      },
    ]);
  });

  test('settings of a link, which the kernel takes as a nest and tells as an array', async () => {
    const IFLA_INET_CONF = { IPV4_DEVCONF_ARP_NOTIFY: 1 };
    session.request(setLink({ ifi_index: indexOf('cni0'), IFLA_AF_SPEC: { AF_INET: { IFLA_INET_CONF } } }));
    expect(await node.exec('cat', '/proc/sys/net/ipv4/conf/cni0/arp_notify')).toBe('1\n');
    const [bridge] = session.request(getLink({ IFLA_IFNAME: 'cni0' }));
    const told = bridge?.IFLA_AF_SPEC?.AF_INET?.IFLA_INET_CONF;
    if (!(told instanceof Uint8Array)) throw new Error('no settings');
    expect(told.subarray(4 * (22 - 1), 4 * 22)).toEqual(Uint8Array.of(1, 0, 0, 0));
  });

  test('a veth that is a bridge port here, and born with its name in another namespace', async () => {
    session.request(
      newLink({
        ...up,
        IFLA_IFNAME: 'veth1',
        IFLA_MTU: 1400,
        IFLA_MASTER: indexOf('cni0'),
        IFLA_NUM_TX_QUEUES: 1,
        IFLA_NUM_RX_QUEUES: 1,
        IFLA_LINKINFO: {
          IFLA_INFO_KIND: 'veth',
          IFLA_INFO_DATA: {
            VETH_INFO_PEER: {
              IFLA_IFNAME: 'eth0',
              IFLA_MTU: 1400,
              IFLA_ADDRESS: mac('0a:58:0a:f4:01:02'),
              IFLA_NET_NS_FD: pod.fd,
              IFLA_NUM_TX_QUEUES: 1,
              IFLA_NUM_RX_QUEUES: 1,
            },
          },
        },
      }),
    );
    expect(await node.json('ip', '-d', 'link', 'show', 'veth1')).toMatchObject([
      {
        mtu: 1400,
        master: 'cni0',
        num_tx_queues: 1,
        linkinfo: { info_kind: 'veth', info_slave_kind: 'bridge' },
      },
    ]);
    expect(await pod.json('ip', 'link', 'show', 'eth0')).toMatchObject([
      { ifname: 'eth0', mtu: 1400, address: '0a:58:0a:f4:01:02' },
    ]);
    const [veth] = session.request(getLink({ IFLA_IFNAME: 'veth1' }));
    const shown = await node.json('ip', 'link', 'show', 'veth1');
    expect(shown).toMatchObject([{ link_netnsid: veth?.IFLA_LINK_NETNSID }]);
  });

  test('hairpin and isolation of a bridge port, as link data and as AF_BRIDGE', async () => {
    const ifi_index = indexOf('veth1');
    const port = async () => {
      const [shown] = (await node.json('bridge', '-d', 'link', 'show', 'dev', 'veth1')) as object[];
      return shown;
    };
    session.request(
      newLink(
        {
          ifi_index,
          IFLA_LINKINFO: {
            IFLA_INFO_SLAVE_KIND: 'bridge',
            IFLA_INFO_SLAVE_DATA: { IFLA_BRPORT_MODE: 1, IFLA_BRPORT_ISOLATED: 1 },
          },
        },
        0,
      ),
    );
    expect(await port()).toMatchObject({ hairpin: true, isolated: true });
    session.request(
      setLink({
        ifi_family: k.AF_BRIDGE,
        ifi_index,
        IFLA_PROTINFO: { IFLA_BRPORT_MODE: 0, IFLA_BRPORT_ISOLATED: 0 },
      }),
    );
    expect(await port()).toMatchObject({ hairpin: false, isolated: false });
    const ports = session.dump(getLink({ ifi_family: k.AF_BRIDGE }));
    expect(ports.find((found) => found.ifi_index === ifi_index)?.IFLA_PROTINFO).toMatchObject({
      IFLA_BRPORT_MODE: 0,
    });
  });

  test('a VLAN of a bridge port, or the refusal of a kernel that knows none', () => {
    const value = {
      ifi_family: k.AF_BRIDGE,
      ifi_index: indexOf('veth1'),
      IFLA_AF_SPEC: {
        IFLA_BRIDGE_VLAN_INFO: [{ flags: k.BRIDGE_VLAN_INFO_PVID | k.BRIDGE_VLAN_INFO_UNTAGGED, vid: 7 }],
      },
    };
    const [error] = session.batch([setLink(value)]);
    if (error !== undefined) {
      expect(error.code).toBe('EOPNOTSUPP');
      return;
    }
    const [found] = session
      .dump(getLink({ ifi_family: k.AF_BRIDGE, IFLA_EXT_MASK: k.RTEXT_FILTER_BRVLAN }))
      .filter((link) => link.ifi_index === value.ifi_index);
    expect(found?.IFLA_AF_SPEC?.IFLA_BRIDGE_VLAN_INFO).toContainEqual(
      value.IFLA_AF_SPEC.IFLA_BRIDGE_VLAN_INFO[0],
    );
  });

  test('a vxlan with everything that flannel sets', async () => {
    session.request(
      newLink({
        ...up,
        IFLA_IFNAME: 'flannel.1',
        IFLA_MTU: 1350,
        IFLA_ADDRESS: mac('12:c6:65:89:b4:e3'),
        IFLA_LINKINFO: {
          IFLA_INFO_KIND: 'vxlan',
          IFLA_INFO_DATA: {
            IFLA_VXLAN_ID: 1,
            IFLA_VXLAN_LINK: indexOf('cni0'),
            IFLA_VXLAN_LOCAL: address('192.0.2.1'),
            IFLA_VXLAN_PORT: 8472,
            IFLA_VXLAN_LEARNING: 0,
            IFLA_VXLAN_GBP: true,
          },
        },
      }),
    );
    expect(await node.json('ip', '-d', 'link', 'show', 'flannel.1')).toMatchObject([
      {
        mtu: 1350,
        address: '12:c6:65:89:b4:e3',
        linkinfo: {
          info_kind: 'vxlan',
          info_data: { id: 1, link: 'cni0', local: '192.0.2.1', port: 8472, learning: false, gbp: true },
        },
      },
    ]);
    session.request(
      newLink({
        IFLA_IFNAME: 'flannel-v6.1',
        IFLA_LINKINFO: {
          IFLA_INFO_KIND: 'vxlan',
          IFLA_INFO_DATA: {
            IFLA_VXLAN_ID: 1,
            IFLA_VXLAN_LOCAL6: address('2001:db8::1'),
            IFLA_VXLAN_PORT: 8472,
          },
        },
      }),
    );
    expect(await node.json('ip', '-d', 'link', 'show', 'flannel-v6.1')).toMatchObject([
      { linkinfo: { info_data: { local6: '2001:db8::1', port: 8472, learning: true } } },
    ]);
  });

  test('group, queue length, down, another name, and gone', async () => {
    session.request(newLink({ IFLA_IFNAME: 'tmp0', IFLA_LINKINFO: { IFLA_INFO_KIND: 'bridge' } }));
    const ifi_index = indexOf('tmp0');
    session.request(setLink({ ifi_index, ...up, IFLA_GROUP: 0x464c_0007, IFLA_TXQLEN: 77 }));
    expect(await node.json('ip', 'link', 'show', 'tmp0')).toMatchObject([
      { group: String(0x464c_0007), txqlen: 77, flags: expect.arrayContaining(['UP']) },
    ]);
    session.request(setLink({ ifi_index, ifi_flags: 0, ifi_change: k.IFF_UP, IFLA_IFNAME: 'tmp1' }));
    const [down] = session.request(getLink({ ifi_index }));
    expect(down).toMatchObject({ IFLA_IFNAME: 'tmp1', IFLA_OPERSTATE: k.IF_OPER_DOWN });
    session.request(delLink({ IFLA_GROUP: 0x464c_0007 }));
    expect(() => session.request(getLink({ ifi_index }))).toThrow('RTM_GETLINK: ENODEV');
  });
});

test('addresses: without DAD, replaced, filtered, taken away', async () => {
  const ifa_index = indexOf('cni0');
  const v4 = { ifa_family: k.AF_INET, ifa_prefixlen: 24, ifa_index, IFA_LOCAL: address('10.244.1.1') };
  const v6 = { ifa_family: k.AF_INET6, ifa_prefixlen: 64, ifa_index, IFA_LOCAL: address('fd00:1::1') };
  session.request(newAddress({ ...v4, IFA_BROADCAST: address('10.244.1.255'), IFA_PROTO: 9 }));
  session.request(newAddress({ ...v6, IFA_FLAGS: k.IFA_F_NODAD }));
  const [shown] = (await node.json('ip', 'address', 'show', 'cni0')) as { addr_info: object[] }[];
  expect(shown?.addr_info).toContainEqual(
    expect.objectContaining({ local: '10.244.1.1', prefixlen: 24, broadcast: '10.244.1.255' }),
  );
  const info = shown?.addr_info.find((entry) => 'local' in entry && entry.local === 'fd00:1::1');
  expect(info).toMatchObject({ prefixlen: 64 });
  expect(info).not.toHaveProperty('tentative');
  expect(() => session.request(newAddress(v4))).toThrow('RTM_NEWADDR: EEXIST');
  const find = () => session.dump(getAddresses({ ifa_family: k.AF_INET, ifa_index }));
  expect(find()).toMatchObject([{ IFA_LOCAL: '10.244.1.1', IFA_PROTO: 9 }]);
  const replaced = { ...v4, IFA_CACHEINFO: { ifa_prefered: 50, ifa_valid: 100, cstamp: 0, tstamp: 0 } };
  session.request(newAddress(replaced, k.NLM_F_CREATE | k.NLM_F_REPLACE));
  expect(find()).toMatchObject([{ IFA_LOCAL: '10.244.1.1', IFA_CACHEINFO: { ifa_valid: 100 } }]);
  session.request(delAddress(v6));
  const left = session.dump(getAddresses({ ifa_family: k.AF_INET6, ifa_index }));
  expect(left.some((entry) => entry.IFA_ADDRESS === v6.IFA_LOCAL)).toBe(false);
});

test('routes: onlink, metrics, source, tables, look-up, multipath, taken away', async () => {
  const flannel = indexOf('flannel.1');
  const route = {
    rtm_family: k.AF_INET,
    rtm_table: k.RT_TABLE_MAIN,
    rtm_protocol: 241,
    rtm_type: k.RTN_UNICAST,
  };
  const onlink = {
    ...route,
    rtm_dst_len: 24,
    rtm_flags: k.RTNH_F_ONLINK,
    RTA_DST: address('10.244.2.0'),
    RTA_GATEWAY: address('10.244.2.0'),
    RTA_OIF: flannel,
  };
  session.request(newRoute(onlink));
  session.request(
    newRoute({
      ...route,
      rtm_dst_len: 24,
      RTA_DST: address('10.244.3.0'),
      RTA_GATEWAY: address('10.244.1.9'),
      RTA_PREFSRC: address('10.244.1.1'),
      RTA_PRIORITY: 7,
      RTA_METRICS: { RTAX_MTU: 1300, RTAX_ADVMSS: 1260 },
    }),
  );
  expect(await node.json('ip', 'route', 'show', 'proto', '241')).toMatchObject([
    { dst: '10.244.2.0/24', gateway: '10.244.2.0', dev: 'flannel.1', flags: ['onlink'] },
    {
      dst: '10.244.3.0/24',
      gateway: '10.244.1.9',
      dev: 'cni0',
      prefsrc: '10.244.1.1',
      metric: 7,
      metrics: [{ mtu: 1300, advmss: 1260 }],
    },
  ]);
  const [taken] = session.request(
    getRoutes({ rtm_family: k.AF_INET, rtm_dst_len: 32, RTA_DST: address('10.244.2.77') }),
  );
  expect(taken).toMatchObject({ RTA_OIF: flannel, RTA_GATEWAY: '10.244.2.0' });
  session.request(
    newRoute({
      ...route,
      rtm_family: k.AF_INET6,
      rtm_table: k.RT_TABLE_UNSPEC,
      rtm_dst_len: 64,
      RTA_DST: address('fd00:9::'),
      RTA_TABLE: 1000,
      RTA_MULTIPATH: [
        { rtnh_flags: 0, rtnh_hops: 0, rtnh_ifindex: indexOf('cni0'), RTA_GATEWAY: address('fe80::1') },
        { rtnh_flags: 0, rtnh_hops: 2, rtnh_ifindex: indexOf('cni0'), RTA_GATEWAY: address('fe80::2') },
      ],
    }),
  );
  expect(await node.json('ip', '-6', 'route', 'show', 'table', '1000')).toMatchObject([
    {
      dst: 'fd00:9::/64',
      nexthops: [
        { gateway: 'fe80::1', weight: 1 },
        { gateway: 'fe80::2', weight: 3 },
      ],
    },
  ]);
  const [inTable] = session.dump(getRoutes({ rtm_family: k.AF_INET6, RTA_TABLE: 1000 }));
  expect(inTable?.RTA_MULTIPATH?.map((hop) => hop.rtnh_hops)).toEqual([0, 2]);
  session.request(delRoute({ ...onlink, rtm_scope: k.RT_SCOPE_NOWHERE }));
  const left = session.dump(getRoutes({ rtm_family: k.AF_INET, rtm_protocol: 241 }));
  expect(left.map((entry) => entry.RTA_DST)).toEqual(['10.244.3.0']);
});

test('neighbours and FDB entries', async () => {
  const ndm_ifindex = indexOf('flannel.1');
  const lladdr = mac('12:c6:65:89:b4:e9');
  const arp = { ndm_family: k.AF_INET, ndm_ifindex, NDA_DST: address('10.244.2.0') };
  const fdb = { ndm_family: k.AF_BRIDGE, ndm_ifindex, ndm_flags: k.NTF_SELF, NDA_LLADDR: lladdr };
  session.request(newNeighbour({ ...arp, ndm_state: k.NUD_PERMANENT, NDA_LLADDR: lladdr }));
  session.request(newNeighbour({ ...fdb, ndm_state: k.NUD_PERMANENT, NDA_DST: address('192.0.2.9') }));
  expect(await node.json('ip', 'neigh', 'show', 'dev', 'flannel.1')).toMatchObject([
    { dst: '10.244.2.0', lladdr, state: ['PERMANENT'] },
  ]);
  expect(await node.json('bridge', 'fdb', 'show', 'dev', 'flannel.1')).toContainEqual(
    expect.objectContaining({ mac: lladdr, dst: '192.0.2.9', state: 'permanent', flags: ['self'] }),
  );
  session.request(newNeighbour({ ...fdb, ndm_state: k.NUD_PERMANENT, NDA_DST: address('192.0.2.10') }));
  const entries = session.dump(getNeighbours({ ndm_family: k.AF_BRIDGE, ndm_ifindex }));
  expect(entries.filter((entry) => entry.NDA_LLADDR === lladdr)).toMatchObject([{ NDA_DST: '192.0.2.10' }]);
  session.request(delNeighbour(fdb));
  session.request(delNeighbour(arp));
  expect(() => session.request(delNeighbour(arp))).toThrow('RTM_DELNEIGH: ENOENT');
  const neighbours = session.dump(getNeighbours({ ndm_family: k.AF_INET }));
  expect(neighbours.filter((entry) => entry.ndm_ifindex === ndm_ifindex)).toEqual([]);
});

test('next hop objects, a group of them, and a route by their number', async () => {
  const NHA_OIF = indexOf('flannel.1');
  const hop = { nh_family: k.AF_INET, nh_protocol: 241, nh_flags: k.RTNH_F_ONLINK, NHA_OIF };
  session.request(newNexthop({ ...hop, NHA_ID: 5, NHA_GATEWAY: address('10.244.5.0') }));
  session.request(newNexthop({ NHA_ID: 6, NHA_GROUP: [{ id: 5, weight: 0, weight_high: 0, resvd2: 0 }] }));
  session.request(
    newRoute({
      rtm_family: k.AF_INET,
      rtm_table: k.RT_TABLE_MAIN,
      rtm_protocol: 241,
      rtm_type: k.RTN_UNICAST,
      rtm_dst_len: 24,
      RTA_DST: address('10.244.5.0'),
      RTA_NH_ID: 5,
    }),
  );
  expect(await node.json('ip', 'nexthop', 'show', 'id', '5')).toMatchObject([
    { id: 5, gateway: '10.244.5.0', dev: 'flannel.1', flags: ['onlink'] },
  ]);
  expect(await node.json('ip', 'route', 'show', '10.244.5.0/24')).toMatchObject([
    { nhid: 5, dev: 'flannel.1' },
  ]);
  expect(session.dump(getNexthops()).map((found) => found.NHA_ID)).toEqual([5, 6]);
  session.request(delNexthop(6));
  session.request(delNexthop(5));
  expect(await node.json('ip', 'route', 'show', '10.244.5.0/24')).toEqual([]);
});

test('generic netlink: a family by name, one that is not there', () => {
  const generic = new SyncSession(openSocket(binding, { protocol: k.NETLINK_GENERIC }));
  const [control] = generic.request(getFamily('nlctrl'));
  expect(control).toMatchObject({
    CTRL_ATTR_FAMILY_ID: k.GENL_ID_CTRL,
    CTRL_ATTR_MCAST_GROUPS: [{ CTRL_ATTR_MCAST_GRP_NAME: 'notify' }],
  });
  expect(() => generic.request(getFamily('no-such-family'))).toThrow('CTRL_CMD_GETFAMILY: ENOENT');
  generic.close();
});

test('the kernel says in words, and at which attribute, what it does not like', () => {
  const data = { IFLA_VXLAN_ID: 1 << 24, IFLA_VXLAN_PORT: 8472 };
  const tooLarge = newLink({
    IFLA_IFNAME: 'x0',
    IFLA_LINKINFO: { IFLA_INFO_KIND: 'vxlan', IFLA_INFO_DATA: data },
  });
  expect(() => session.request(tooLarge)).toThrow(
    /^RTM_NEWLINK: ERANGE \(.*\): VXLAN ID must be lower than 16777216 \(IFLA_LINKINFO\/IFLA_INFO_DATA\/IFLA_VXLAN_ID\)$/,
  );
  expect(() =>
    session.request(newLink({ IFLA_IFNAME: 'x0', IFLA_LINKINFO: { IFLA_INFO_KIND: 'nonsense' } })),
  ).toThrow('EOPNOTSUPP');
});
