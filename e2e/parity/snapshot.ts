import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { attempt } from '../lab/command.ts';

/** What is there, as flat lines: `host link cni0 mtu` -> `1450`. Two snapshots are compared line by line. */
export type Snapshot = Map<string, string>;

/** A network namespace under a name that reads well in a line. */
export interface Named {
  readonly name: 'host' | 'pod';
  readonly netns: string;
}

/** Everything that an attachment may change in a namespace. */
export async function namespaceSnapshot({ name, netns }: Named): Promise<Snapshot> {
  const inside = async (...program: string[]) =>
    (await attempt('nsenter', [`--net=/run/netns/${netns}`, ...program])).stdout;
  const json = async (...program: string[]) => JSON.parse((await inside(...program)) || '[]') as Json[];
  const [links, addresses, v4, v6, ports, vlans, sysctls, iptables, ip6tables, nft] = await Promise.all([
    json('ip', '-d', '-j', 'link', 'show'),
    json('ip', '-j', 'address', 'show'),
    json('ip', '-j', '-4', 'route', 'show', 'table', 'all'),
    json('ip', '-j', '-6', 'route', 'show', 'table', 'all'),
    json('bridge', '-d', '-j', 'link', 'show'),
    json('bridge', '-j', 'vlan', 'show'),
    inside('sysctl', '-a', '--pattern', String.raw`net\.ipv[46]\.(conf|ip_forward)`),
    inside('iptables-save'),
    inside('ip6tables-save'),
    inside('nft', 'list', 'table', 'inet', 'cni_plugins_masquerade'),
  ]);
  const lines: Snapshot = new Map();
  for (const link of links) put(lines, `${name} link ${anonymous(link['ifname'])}`, pick(link, linkKeys));
  for (const link of addresses) putAddresses(lines, name, link);
  for (const route of [...v4, ...v6]) putRoute(lines, name, route);
  for (const port of ports) put(lines, `${name} port ${anonymous(port['ifname'])}`, pick(port, portKeys));
  for (const port of vlans)
    lines.set(`${name} vlan ${anonymous(port['ifname'])}`, JSON.stringify(port['vlans']));
  for (const line of sysctls.split('\n')) {
    const [key = '', value = ''] = line.split(' = ');
    if (key !== '' && !key.includes('.lo.') && !key.includes('secret'))
      lines.set(`${name} sysctl ${anonymous(key)}`, value);
  }
  for (const line of [
    ...rules(iptables, 'iptables'),
    ...rules(ip6tables, 'ip6tables'),
    ...rules(nft, 'nft'),
  ]) {
    lines.set(`${name} ${line}`, 'there');
  }
  return lines;
}

/** Who has which MAC: a result says `mac of pod eth0` then, and is right or wrong. */
export async function macNames(namespaces: readonly Named[]): Promise<MacNames> {
  const owners = new Map<string, string>();
  for (const { name, netns } of namespaces) {
    const links = JSON.parse((await attempt('ip', ['-n', netns, '-j', 'link'])).stdout || '[]') as Json[];
    for (const link of links)
      owners.set(String(link['address']), `mac of ${name} ${anonymous(link['ifname'])}`);
  }
  return (text) => owners.get(text) ?? text;
}

/** The files below a directory; what is binary noise to the eye (a lock) only by its name. */
export function fileSnapshot(directory: string): Snapshot {
  const lines: Snapshot = new Map();
  if (!existsSync(directory)) return lines;
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    if (entry.isFile())
      lines.set(`file ${path.relative(directory, file)}`, JSON.stringify(readFileSync(file, 'utf8')));
  }
  return lines;
}

/** A CNI result, or error, as lines. */
export function resultSnapshot(verb: string, code: number, stdout: string, macs: MacNames): Snapshot {
  const lines: Snapshot = new Map([[`${verb} exit`, code === 0 ? '0' : 'not 0']]);
  if (stdout.trim() === '') return lines;
  const value = JSON.parse(stdout) as Json;
  if (code === 0) put(lines, `${verb} result`, value, (text) => macs(anonymous(text)));
  else lines.set(`${verb} error code`, String(value['code'])); // the words are our own
  return lines;
}

type MacNames = (text: string) => string;
type Json = Record<string, unknown>;

const linkKeys = ['flags', 'mtu', 'link_type', 'linkinfo', 'master', 'promiscuity'];
const portKeys = [
  'flags',
  'state',
  'hairpin',
  'guard',
  'root_block',
  'fastleave',
  'learning',
  'flood',
  'isolated',
  'mtu',
];
/** Kept of a bridge's own settings: the others are timers and identities. */
const bridgeKeys = [
  'vlan_filtering',
  'vlan_default_pvid',
  'stp_state',
  'ageing_time',
  'mcast_snooping',
  'nf_call_iptables',
];

/** Link flags that come and go by themselves, a moment after the last port. */
const passing = new Set(['NO-CARRIER', 'LOWER_UP']);

function pick(from: Json, keys: readonly string[]): Json {
  const picked = Object.fromEntries(keys.filter((key) => key in from).map((key) => [key, from[key]]));
  const info = picked['linkinfo'] as { info_kind?: string; info_data?: Json } | undefined;
  if (info === undefined) return picked;
  const data = info.info_data === undefined ? {} : pick(info.info_data, bridgeKeys);
  return { ...picked, linkinfo: { kind: info.info_kind, ...data } };
}

/** veth names are random: one a bridge port, and at most one in these namespaces. */
function anonymous(text: unknown): string {
  return String(text).replaceAll(/\bveth[0-9a-f]{8}\b/g, 'veth*');
}

function put(lines: Snapshot, key: string, value: unknown, names = anonymous): void {
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object')) {
    lines.set(
      key,
      names(
        value
          .map(String)
          .filter((item) => !passing.has(item))
          .join(' '),
      ),
    );
  } else if (Array.isArray(value)) {
    value.forEach((item, i) => put(lines, `${key}[${i}]`, item, names));
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, inner] of Object.entries(value)) put(lines, `${key} ${name}`, inner, names);
  } else {
    lines.set(key, names(value));
  }
}

function putAddresses(lines: Snapshot, name: string, link: Json): void {
  for (const address of link['addr_info'] as Json[]) {
    const local = String(address['local']);
    // made of the MAC, and tentative for a moment
    const shown = local.startsWith('fe80:') ? 'link-local' : `${local}/${String(address['prefixlen'])}`;
    const { scope, broadcast, nodad, deprecated, dadfailed, valid_life_time: valid } = address;
    const value = { scope, broadcast, nodad, deprecated, dadfailed, valid };
    lines.set(`${name} address ${anonymous(link['ifname'])} ${shown}`, JSON.stringify(value));
  }
}

function putRoute(lines: Snapshot, name: string, route: Json): void {
  const { dst, dev, type, table, gateway, prefsrc, scope, protocol, metric, metrics, nexthops } = route;
  if (String(dst).startsWith('fe80:')) return; // of the link-local address
  const key = [name, 'route', table ?? 'main', type ?? '', dst, 'dev', anonymous(dev)]
    .filter((part) => part !== '')
    .join(' ');
  lines.set(key, JSON.stringify({ gateway, prefsrc, scope, protocol, metric, metrics, nexthops }));
}

/** Rules in their order, without counters and what only says when they were read. */
function rules(text: string, kind: string): string[] {
  const kept = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
  return kept.map(
    (line) =>
      `${kind} ${line
        .trim()
        .replaceAll(/\[\d+:\d+\]/g, '')
        .replaceAll(/ # handle \d+/g, '')
        .trim()}`,
  );
}
