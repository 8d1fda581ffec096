/**
 * Records golden/*.json: `node test/netlink/capture.ts` as root, with iproute2, iptables, nft and strace. It needs a
 * look at the difference afterwards: what it writes is what the codecs made of the bytes. With `wireguard DIRECTORY`
 * or `ipip DIRECTORY` only wireguard.json or link.ipip.json, into that directory: in the emulated machine (scripts/vm)
 * when this kernel has no WireGuard or no ipip.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadBinding } from '../../native/binding.ts';
import * as k from '../../src/netlink/constants.ts';
import { getFamily } from '../../src/netlink/generic/family.ts';
import { getWireguardDevice } from '../../src/netlink/generic/wireguard.ts';
import { frames, type Request } from '../../src/netlink/message.ts';
import { viewOf } from '../../src/netlink/payload.ts';
import { getAddresses } from '../../src/netlink/route/address.ts';
import { getLink } from '../../src/netlink/route/link.ts';
import { getNeighbours } from '../../src/netlink/route/neighbour.ts';
import { getNexthops } from '../../src/netlink/route/nexthop.ts';
import { getRoutes } from '../../src/netlink/route/route.ts';
import {
  getNftChain,
  getNftGeneration,
  getNftRules,
  getNftTable,
} from '../../src/netlink/netfilter/nftables.ts';
import { type NetlinkSocket, openSocket } from '../../src/netlink/socket.ts';
import { Dump, Single } from '../../src/netlink/transaction.ts';
import { type Netns, withNetns } from '../kit/netns.ts';
import { codecs } from './codecs.ts';
import { replace } from './golden.ts';
import { bodyOf } from './wire.ts';

interface Row {
  name: string;
  command: string;
  exact: boolean;
  bytes: Uint8Array;
  value: object;
}

const rows = new Map<string, Row[]>();

function record(codec: string, name: string, command: string, bytes: Uint8Array, file = codec): void {
  const table = codecs[codec];
  if (table === undefined) throw new Error(`no codec ${codec}`);
  const value = table.decode(viewOf(bytes), 0, bytes.length);
  const exact = Buffer.from(bodyOf(table, value)).equals(bytes);
  rows.set(file, [...(rows.get(file) ?? []), { name, command, exact, bytes, value }]);
  console.log(`${codec.padEnd(10)} ${exact ? 'exact  ' : 'reorder'} ${name}`);
}

/** The bodies of what the kernel answers. */
function answers(socket: NetlinkSocket, request: Request, dump: boolean): Uint8Array[] {
  const transaction = dump ? new Dump(request, 1) : new Single(request, 1);
  const bodies: Uint8Array[] = [];
  socket.send(transaction.bytes);
  for (let done = false; !done; ) {
    const datagram = socket.receive();
    if (datagram === undefined) break;
    for (const { type, start, end } of frames(datagram)) {
      if (type >= k.NLMSG_MIN_TYPE) bodies.push(datagram.slice(start, end));
    }
    done = transaction.accept(datagram);
  }
  transaction.result();
  return bodies;
}

/** The bodies of the messages that change something among those that a command sends. */
function sentBy(netns: Netns, command: string): Uint8Array[] {
  const strace = ['-e', 'trace=sendmsg', '-e', 'write=3,4,5', ...command.split(' ')];
  const { stderr } = spawnSync('ip', ['netns', 'exec', netns.name, 'strace', ...strace], {
    encoding: 'utf8',
  });
  const buffers = stderr.split(/^ \* \d+ bytes in buffer.*$/m).slice(1);
  return buffers
    .map((text) => {
      const lines = [...text.matchAll(/^ \| [0-9a-f]{5} {2}([0-9a-f ]{48})/gm)];
      return Buffer.from(
        lines
          .map((line) => line[1])
          .join('')
          .replaceAll(' ', ''),
        'hex',
      );
    })
    .filter((bytes) => bytes.readUInt16LE(4) % 4 !== 2)
    .map((bytes) => Uint8Array.from(bytes.subarray(16)));
}

async function setUp(netns: Netns, peer: Netns): Promise<void> {
  const commands = [
    'ip link set lo up',
    'ip link add br0 type bridge',
    `ip link add ve0 type veth peer name eth0 netns ${peer.name}`,
    'ip link set ve0 master br0',
    'ip link set ve0 type bridge_slave hairpin on isolated on',
    'ip link set br0 up',
    'ip link set ve0 up',
    'ip link add u0 type veth peer name u1',
    'ip link set u0 up',
    'ip link set u1 up',
    'ip address add 192.0.2.1/24 dev u0',
    'ip address add 2001:db8::1/64 dev u0 nodad',
    'ip link add flannel.1 type vxlan id 1 dev u0 local 192.0.2.1 dstport 8472 nolearning gbp',
    'ip link add flannel-v6.1 type vxlan id 2 dev u0 local 2001:db8::1 dstport 8472',
    'ip link set flannel.1 up',
    'ip link set flannel-v6.1 up',
    'ip address add 10.244.0.0/32 dev flannel.1',
    'ip address add 10.9.8.7/24 broadcast + label br0:x dev br0 valid_lft 1000 preferred_lft 500',
    'ip route add 10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink proto 241',
    'ip route add 10.244.2.0/24 via 192.0.2.2 dev u0 metric 7 mtu 1400 advmss 1360 src 192.0.2.1',
    'ip route add 10.244.3.0/24 nexthop via 192.0.2.3 dev u0 weight 2 nexthop via 192.0.2.4 dev u0',
    'ip -6 route add 2001:db8:1::/64 via 2001:db8::2 dev u0 table 1000',
    'ip -6 route add 2001:db8:3::/64 nexthop via 2001:db8::3 dev u0 nexthop via 2001:db8::4 dev u0 weight 3',
    'ip route add 10.244.6.0/24 via inet6 2001:db8::6 dev u0',
    'ip route add blackhole 10.244.4.0/24',
    'ip nexthop add id 5 via 192.0.2.5 dev u0 onlink proto 241',
    'ip nexthop add id 6 via 2001:db8::6 dev u0',
    'ip nexthop add id 7 blackhole',
    'ip nexthop add id 8 group 5',
    'ip route add 10.244.5.0/24 nhid 5',
    'ip neighbour add 10.244.1.0 lladdr 12:c6:65:89:b4:e3 dev flannel.1 nud permanent',
    'ip neighbour add 2001:db8::9 lladdr 12:c6:65:89:b4:e4 dev u0 nud reachable',
    'bridge fdb append 12:c6:65:89:b4:e3 dev flannel.1 dst 192.0.2.9 port 4789 vni 7 via u0',
    'bridge fdb append 12:c6:65:89:b4:e5 dev flannel-v6.1 dst 2001:db8::5',
    'bridge fdb add 12:c6:65:89:b4:e6 dev ve0 master static',
  ];
  for (const command of commands) {
    const [program = '', ...rest] = command.split(' ');
    await netns.exec(program, ...rest);
  }
}

/** One message of the kernel for every object that matters, chosen by a text in its decoded value. */
function captureKernel(netns: Netns): void {
  const binding = loadBinding();
  const socket = openSocket(binding, { netnsFd: netns.fd });
  const dump = (codec: string, request: Request, wanted: Record<string, [string, RegExp]>) => {
    const found = answers(socket, request, true);
    for (const [name, [command, pattern]] of Object.entries(wanted)) {
      const table = codecs[codec];
      const body = found.find((bytes) =>
        pattern.test(JSON.stringify(table?.decode(viewOf(bytes), 0, bytes.length), replace)),
      );
      if (body === undefined) throw new Error(`${codec}: nothing like ${pattern}`);
      record(codec, name, command, body);
    }
  };
  dump('link', getLink(), {
    loopback: ['ip link show lo', /"IFLA_IFNAME":"lo"/],
    bridge: ['ip -d link show br0', /"IFLA_IFNAME":"br0"/],
    'bridge port, veth into a namespace': ['ip -d link show ve0', /"IFLA_IFNAME":"ve0"/],
    veth: ['ip -d link show u0', /"IFLA_IFNAME":"u0"/],
    'vxlan over IPv4 with GBP': ['ip -d link show flannel.1', /"IFLA_IFNAME":"flannel.1"/],
    'vxlan over IPv6': ['ip -d link show flannel-v6.1', /"IFLA_IFNAME":"flannel-v6.1"/],
  });
  dump('link', getLink({ ifi_family: k.AF_BRIDGE }), {
    'bridge port seen by AF_BRIDGE': ['bridge -d link show dev ve0', /"IFLA_IFNAME":"ve0"/],
  });
  dump('address', getAddresses(), {
    'IPv4 loopback': ['ip address show lo', /127\.0\.0\.1/],
    'IPv4 with broadcast, label, lifetimes': ['ip address show br0', /br0:x/],
    'IPv6 nodad': ['ip address show u0', /2001:db8::1/],
    'IPv6 link-local': ['ip address show u0', /fe80/],
  });
  dump('route', getRoutes(), {
    'IPv4 connected': ['ip route show 192.0.2.0/24', /"RTA_DST":"192\.0\.2\.0"/],
    onlink: ['ip route show 10.244.1.0/24', /10\.244\.1\.0/],
    'metrics and source': ['ip route show 10.244.2.0/24', /10\.244\.2\.0/],
    'IPv4 multipath': ['ip route show 10.244.3.0/24', /10\.244\.3\.0/],
    blackhole: ['ip route show 10.244.4.0/24', /10\.244\.4\.0/],
    'next hop object': ['ip route show 10.244.5.0/24', /10\.244\.5\.0/],
    'gateway of the other family': ['ip route show 10.244.6.0/24', /10\.244\.6\.0/],
    'IPv6 in a table of its own': ['ip -6 route show table 1000', /2001:db8:1::/],
    'IPv6 multipath': ['ip -6 route show 2001:db8:3::/64', /2001:db8:3::.*RTA_MULTIPATH/],
    'IPv6 local': ['ip -6 route show table local', /"rtm_type":2.*"RTA_DST":"2001:db8::1"/],
  });
  dump('neighbour', getNeighbours(), {
    'IPv4 permanent': ['ip neighbour show dev flannel.1', /10\.244\.1\.0/],
    'IPv6 reachable': ['ip neighbour show dev u0', /2001:db8::9/],
  });
  dump('neighbour', getNeighbours({ ndm_family: k.AF_BRIDGE }), {
    'vxlan FDB entry with port, VNI and link': ['bridge fdb show dev flannel.1', /192\.0\.2\.9/],
    'vxlan FDB entry over IPv6': ['bridge fdb show dev flannel-v6.1', /2001:db8::5/],
    'bridge FDB entry': ['bridge fdb show dev ve0', /12:c6:65:89:b4:e6/],
  });
  dump('nexthop', getNexthops(), {
    'IPv4 onlink': ['ip nexthop show id 5', /"NHA_ID":5/],
    IPv6: ['ip nexthop show id 6', /"NHA_ID":6/],
    blackhole: ['ip nexthop show id 7', /"NHA_ID":7/],
    group: ['ip nexthop show id 8', /"NHA_ID":8/],
  });
  socket.close();
  const generic = openSocket(binding, { protocol: k.NETLINK_GENERIC });
  for (const body of answers(generic, getFamily('nlctrl'), false)) {
    record('family', 'nlctrl', 'genl ctrl list', body);
  }
  generic.close();
}

/** Rules as iptables and nft put them in place, with what the kernel adds. */
async function captureNetfilter(netns: Netns): Promise<void> {
  const commands = [
    'iptables -t nat -N FLANNEL-POSTRTG',
    'iptables -t nat -A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -m comment --comment masq -j MASQUERADE --random-fully',
    'iptables -t nat -A POSTROUTING -m mark --mark 0x4000/0x4000 -j FLANNEL-POSTRTG',
    'nft add table ip flannel-ipv4 { comment "masquerade"; }',
    'nft add chain ip flannel-ipv4 postrtg { type nat hook postrouting priority 100; comment "nodes"; }',
    'nft add rule ip flannel-ipv4 postrtg ip saddr 10.244.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random',
  ];
  for (const command of commands) {
    const [program = '', ...rest] = command.split(' ');
    await netns.exec(program, ...rest);
  }
  const socket = openSocket(loadBinding(), { protocol: k.NETLINK_NETFILTER, netnsFd: netns.fd });
  const rule = (name: string, table: string, chain: string) => {
    for (const body of answers(socket, getNftRules(k.AF_INET, table, chain), true)) {
      record('nft-rule', name, `nft list chain ip ${table} ${chain}`, body);
    }
  };
  rule('masquerade of iptables-nft', 'nat', 'FLANNEL-POSTRTG');
  rule('jump of iptables-nft', 'nat', 'POSTROUTING');
  rule('masquerade of nft', 'flannel-ipv4', 'postrtg');
  for (const body of answers(socket, getNftTable(k.AF_INET, 'flannel-ipv4'), false)) {
    record('nft-table', 'with a comment', 'nft list table ip flannel-ipv4', body);
  }
  for (const body of answers(socket, getNftChain(k.AF_INET, 'flannel-ipv4', 'postrtg'), false)) {
    record('nft-chain', 'base chain', 'nft list chain ip flannel-ipv4 postrtg', body);
  }
  for (const body of answers(socket, getNftChain(k.AF_INET, 'nat', 'FLANNEL-POSTRTG'), false)) {
    record('nft-chain', 'chain of iptables-nft', 'nft list chain ip nat FLANNEL-POSTRTG', body);
  }
  for (const body of answers(socket, getNftGeneration(), false)) {
    record('nft-generation', 'present', 'nft list ruleset', body);
  }
  socket.close();
}

/** Requests as iproute2 writes them; this kernel need not support what they ask for. */
function captureIproute2(netns: Netns, peer: Netns): void {
  const requests: [codec: string, name: string, command: string][] = [
    [
      'link',
      'request: vxlan',
      'ip link add x1 type vxlan id 9 dev u0 local 192.0.2.1 dstport 8472 nolearning',
    ],
    [
      'link',
      'request: veth into a namespace',
      `ip link add v1 mtu 1450 type veth peer name eth7 netns ${peer.name}`,
    ],
    ['link', 'request: VLAN-aware bridge', 'ip link add br1 type bridge vlan_filtering 1'],
    ['link', 'request: hairpin', 'ip link set ve0 type bridge_slave hairpin on'],
    ['link', 'request: hairpin by AF_BRIDGE', 'bridge link set dev ve0 hairpin on isolated on'],
    ['link', 'request: VLAN of a port', 'bridge vlan add dev ve0 vid 100 pvid untagged'],
    ['link', 'request: VLANs of a port', 'bridge vlan add dev ve0 vid 200-300'],
    ['link', 'request: VLAN taken away', 'bridge vlan del dev ve0 vid 1'],
    ['link', 'request: a group removed', 'ip link del group 77'],
    ['link', 'request: no IPv6 address of its own', 'ip link set dev ve0 addrgenmode none'],
    ['address', 'request: nodad', 'ip address add 2001:db8::5/64 dev u0 nodad'],
    ['address', 'request: IPv4', 'ip address add 10.9.9.9/24 dev u0'],
    [
      'route',
      'request: onlink',
      'ip route replace 10.244.9.0/24 via 10.244.9.0 dev flannel.1 onlink proto 241',
    ],
    ['route', 'request: metrics', 'ip route add 10.244.8.0/24 dev u0 mtu lock 1400 hoplimit 9'],
    [
      'neighbour',
      'request: permanent',
      'ip neighbour replace 10.244.9.0 lladdr 12:00:00:00:00:09 dev flannel.1',
    ],
    ['neighbour', 'request: FDB', 'bridge fdb replace 12:00:00:00:00:09 dev flannel.1 dst 192.0.2.9'],
    ['nexthop', 'request: group', 'ip nexthop replace id 9 group 5,3'],
  ];
  for (const [codec, name, command] of requests) {
    const [body] = sentBy(netns, command);
    if (body === undefined) throw new Error(`${command}: sent nothing`);
    // Names and descriptors of the run that captured it mean nothing later.
    record(codec, name, command.replace(peer.name, 'PEER'), body);
  }
}

/** With the keys that RFC 7748 prints: nobody's. */
async function captureWireguard(netns: Netns, scratch: string): Promise<void> {
  const keys = [
    'dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=',
    '3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=',
  ];
  const file = path.join(scratch, 'private');
  writeFileSync(file, keys[0] ?? '', { mode: 0o600 });
  const peer = `peer ${keys[1]} preshared-key ${file} persistent-keepalive 25`;
  const commands = [
    'ip link add flannel-wg type wireguard',
    `wg set flannel-wg private-key ${file} listen-port 51820 fwmark 7`,
    `wg set flannel-wg ${peer} endpoint 192.0.2.1:51820 allowed-ips 10.244.1.0/24,fd00:1::/64`,
    'wg set flannel-wg peer CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= endpoint [2001:db8::1]:51821',
  ];
  for (const command of commands) {
    const [program = '', ...rest] = command.split(' ');
    await netns.exec(program, ...rest);
  }
  const socket = openSocket(loadBinding(), { protocol: k.NETLINK_GENERIC, netnsFd: netns.fd });
  const transaction = new Single(getFamily('wireguard'), 1);
  socket.send(transaction.bytes);
  for (let datagram = socket.receive(); datagram !== undefined; datagram = socket.receive()) {
    transaction.accept(datagram);
  }
  const family = transaction.result()[0]?.CTRL_ATTR_FAMILY_ID ?? 0;
  for (const body of answers(socket, getWireguardDevice(family, 'flannel-wg'), true)) {
    record('wireguard', 'device with peers', 'wg show flannel-wg', body);
  }
  socket.close();
}

async function captureIpip(netns: Netns): Promise<void> {
  const command = 'ip link add flannel.ipip type ipip local 192.0.2.1 ttl inherit nopmtudisc';
  const [request] = sentBy(netns, command);
  if (request === undefined) throw new Error(`${command}: sent nothing`);
  const file = 'link.ipip';
  record('link', 'request: ipip', command, request, file);
  await netns.exec('ip', 'link', 'set', 'flannel.ipip', 'up');
  const socket = openSocket(loadBinding(), { netnsFd: netns.fd });
  for (const body of answers(socket, getLink({ IFLA_IFNAME: 'flannel.ipip' }), false)) {
    record('link', 'ipip', 'ip -d link show flannel.ipip', body, file);
  }
  socket.close();
}

const [only, directory = path.join(import.meta.dirname, 'golden')] = process.argv.slice(2);
await withNetns((netns) =>
  withNetns(async (peer) => {
    if (only === 'wireguard') return captureWireguard(netns, directory);
    if (only === 'ipip') return captureIpip(netns);
    await setUp(netns, peer);
    captureKernel(netns);
    captureIproute2(netns, peer);
    await captureNetfilter(netns);
  }),
);
for (const [file, found] of rows) {
  const lines = found.map((row) => JSON.stringify(row, replace));
  writeFileSync(path.join(directory, `${file}.json`), `[\n${lines.join(',\n')}\n]\n`);
}
