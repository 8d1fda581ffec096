/** What a user can write and a node can be like; each case is given to the reference chain and to ours. */
export interface ParityCase {
  readonly name: string;
  readonly cniVersion?: string;
  /** flannel's `delegate`, over the one of the shipped conflist. `null` stands for no delegate at all. */
  readonly delegate?: Readonly<Record<string, unknown>> | null;
  readonly ipam?: Readonly<Record<string, unknown>>;
  readonly runtimeConfig?: Readonly<Record<string, unknown>>;
  readonly args?: Readonly<Record<string, unknown>>;
  /** The environment's CNI_ARGS. */
  readonly cniArgs?: string;
  readonly families?: 'v4' | 'v6' | 'dual';
  /** The lines of subnet.env that differ from the family's usual ones. */
  readonly subnetEnv?: Readonly<Record<string, string>>;
  /** Commands of iproute2 in the host's namespace, before the ADD. */
  readonly before?: readonly string[];
  /** The plugins 1.1.1 know nothing of it. */
  readonly onlyNew?: true;
  /** How the DEL comes: with the namespace (the default), with an empty CNI_NETNS, or after the namespace has gone. */
  readonly del?: 'netns' | 'empty' | 'gone';
}

const masquerade = { FLANNEL_IPMASQ: 'false' };

export const cases: readonly ParityCase[] = [
  { name: 'IPv4' },
  { name: 'IPv6', families: 'v6' },
  { name: 'dual-stack', families: 'dual' },
  { name: 'no delegate at all', delegate: null, families: 'dual' },
  { name: 'two networks', subnetEnv: { FLANNEL_NETWORK: '10.244.0.0/16,10.245.0.0/16' } },
  { name: 'mtu of the delegate', delegate: { mtu: 1400 } },
  { name: 'hairpinMode off', delegate: { hairpinMode: false } },
  { name: 'promiscMode', delegate: { hairpinMode: false, promiscMode: true } },
  { name: 'promiscMode with hairpinMode', delegate: { promiscMode: true } },
  { name: 'isDefaultGateway off', delegate: { isDefaultGateway: false }, families: 'dual' },
  { name: 'isGateway off', delegate: { isGateway: false, isDefaultGateway: false } },
  { name: 'ipMasq', subnetEnv: masquerade },
  { name: 'ipMasq, dual-stack', subnetEnv: masquerade, families: 'dual' },
  {
    name: 'ipMasq by nftables, dual-stack',
    subnetEnv: masquerade,
    families: 'dual',
    delegate: { ipMasqBackend: 'nftables' },
    onlyNew: true,
  },
  { name: 'ipMasq by an unknown backend', delegate: { ipMasq: true, ipMasqBackend: 'ipfw' }, onlyNew: true },
  {
    name: 'extra routes',
    ipam: { routes: [{ dst: '172.16.0.0/12' }, { dst: '192.0.2.0/24', gw: '10.244.1.9' }] },
  },
  {
    name: 'a route with a priority',
    cniVersion: '1.1.0',
    ipam: { routes: [{ dst: '172.16.0.0/12', priority: 7 }] },
    onlyNew: true,
  },
  { name: 'resolvConf', ipam: { resolvConf: '@resolv.conf' } },
  { name: 'mac by runtimeConfig', runtimeConfig: { mac: '02:00:00:00:00:0a' } },
  { name: 'mac by CNI_ARGS', cniArgs: 'MAC=02:00:00:00:00:0b' },
  { name: 'mac by args', args: { cni: { mac: '02:00:00:00:00:0c' } } },
  { name: 'address by CNI_ARGS', cniArgs: 'IgnoreUnknown=1;IP=10.244.1.77' },
  { name: 'address by runtimeConfig', runtimeConfig: { ips: ['10.244.1.78/24'] } },
  { name: 'unknown CNI_ARGS', cniArgs: 'FOO=bar' },
  { name: 'portIsolation', delegate: { portIsolation: true }, onlyNew: true },
  { name: 'vlan', delegate: { vlan: 100 } },
  { name: 'vlan with preserveDefaultVlan', delegate: { vlan: 100, preserveDefaultVlan: true } },
  { name: 'another bridge', delegate: { bridge: 'pods0' } },
  { name: 'enabledad', delegate: { enabledad: true }, families: 'dual' },
  { name: 'a bridge that is there', before: ['link add cni0 mtu 1300 type bridge', 'link set cni0 up'] },
  {
    name: 'a bridge with another address',
    before: ['link add cni0 type bridge', 'address add 10.9.9.1/24 dev cni0'],
  },
  {
    name: 'forceAddress',
    delegate: { forceAddress: true },
    before: ['link add cni0 type bridge', 'address add 10.9.9.1/24 dev cni0'],
  },
  { name: 'a bridge name taken by a veth', before: ['link add cni0 type veth peer name other0'] },
  ...['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.1.0'].map((cniVersion) => ({
    name: `version ${cniVersion}, dual-stack`,
    cniVersion,
    families: 'dual' as const,
    ...(cniVersion === '1.1.0' ? { onlyNew: true as const } : {}),
  })),
  { name: 'DEL without a namespace', del: 'empty', subnetEnv: masquerade },
  { name: 'DEL after the namespace has gone', del: 'gone', subnetEnv: masquerade },
];

/** The lines of subnet.env of a case. */
export function subnetEnv(given: ParityCase): Record<string, string> {
  const families = given.families ?? 'v4';
  const v4 = { FLANNEL_NETWORK: '10.244.0.0/16', FLANNEL_SUBNET: '10.244.1.1/24' };
  const v6 = { FLANNEL_IPV6_NETWORK: 'fd00:244::/56', FLANNEL_IPV6_SUBNET: 'fd00:244:0:1::1/64' };
  return {
    ...(families === 'v6' ? {} : v4),
    ...(families === 'v4' ? {} : v6),
    FLANNEL_MTU: '1450',
    FLANNEL_IPMASQ: 'true',
    ...given.subnetEnv,
  };
}
