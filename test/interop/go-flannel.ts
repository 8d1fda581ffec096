/**
 * Go flannel 0.28 as others see it: what it leaves in a node's kernel and files, and what it publishes. Go's flanneld cannot be
 * installed for tests, so this is laid out by hand, byte for byte, from what its source and its runs show.
 */

export interface GoCluster {
  readonly backend: 'vxlan' | 'host-gw';
  readonly dualStack: boolean;
  /** vxlan: plain routes to peers without a router between. */
  readonly directRouting?: boolean;
  /** Firewall rules as nftables. */
  readonly nftables?: boolean;
}

/** A node that runs it. */
export interface GoNode {
  readonly name: string;
  readonly subnet: string;
  readonly ipv6Subnet: string;
  /** Of the subnets: the first address, which the device has. */
  readonly base: string;
  readonly ipv6Base: string;
  readonly publicIP: string;
  readonly publicIPv6: string;
  readonly mac: string;
  readonly ipv6Mac: string;
}

export const network = '10.244.0.0/16';
export const ipv6Network = 'fd00:244::/56';

/** Number `n` of the cluster. */
export const goNode = (n: number): GoNode => ({
  name: `node-${n}`,
  subnet: `10.244.${n}.0/24`,
  ipv6Subnet: `fd00:244:0:${n}::/64`,
  base: `10.244.${n}.0`,
  ipv6Base: `fd00:244:0:${n}::`,
  publicIP: `192.0.2.${n}`,
  publicIPv6: `2001:db8::${n}`,
  mac: `12:c6:65:89:b4:e${n}`,
  ipv6Mac: `12:c6:65:89:b4:f${n}`,
});

/** net-conf.json. */
export const netConf = ({ backend, dualStack, directRouting = false, nftables }: GoCluster): object => ({
  Network: network,
  ...(dualStack && { EnableIPv6: true, IPv6Network: ipv6Network }),
  ...(nftables === true && { EnableNFTables: true }),
  Backend: { Type: backend, ...(directRouting && { DirectRouting: true }) },
});

/** What flanneld does at its start on a node where nothing of it is: commands, in its order. */
export function goDevices({ backend, dualStack }: GoCluster, self: GoNode): string[] {
  if (backend === 'host-gw') return [];
  const device = (name: string, mac: string, local: string) =>
    `ip link add ${name} address ${mac} mtu 1450 txqueuelen 0 type vxlan id 1 dev eth0 local ${local} dstport 8472 nolearning ttl auto`;
  return [
    device('flannel.1', self.mac, self.publicIP),
    ...(dualStack ? [device('flannel-v6.1', self.ipv6Mac, self.publicIPv6)] : []),
    `ip addr add ${self.base}/32 dev flannel.1`,
    'ip link set flannel.1 up',
    ...(dualStack
      ? [`ip addr add ${self.ipv6Base}/128 dev flannel-v6.1`, 'ip link set flannel-v6.1 up']
      : []),
  ];
}

/** What it does for each peer, at its start again for all. It knows no protocol number: `ip` takes boot, as it does. */
export function goPeer({ backend, dualStack, directRouting = false }: GoCluster, peer: GoNode): string[] {
  if (directRouting) {
    return [
      `ip route replace ${peer.subnet} via ${peer.publicIP}`,
      ...(dualStack ? [`ip -6 route replace ${peer.ipv6Subnet} via ${peer.publicIPv6}`] : []),
    ];
  }
  if (backend === 'host-gw') {
    return [
      `ip route replace ${peer.subnet} via ${peer.publicIP} dev eth0`,
      ...(dualStack ? [`ip -6 route replace ${peer.ipv6Subnet} via ${peer.publicIPv6} dev eth0`] : []),
    ];
  }
  return [
    `ip neigh replace ${peer.base} lladdr ${peer.mac} dev flannel.1 nud permanent`,
    `bridge fdb replace ${peer.mac} dev flannel.1 dst ${peer.publicIP} self permanent`,
    `ip route replace ${peer.subnet} via ${peer.base} dev flannel.1 onlink`,
    ...(dualStack
      ? [
          `ip -6 neigh replace ${peer.ipv6Base} lladdr ${peer.ipv6Mac} dev flannel-v6.1 nud permanent`,
          `bridge fdb replace ${peer.ipv6Mac} dev flannel-v6.1 dst ${peer.publicIPv6} self permanent`,
          `ip -6 route replace ${peer.ipv6Subnet} via ${peer.ipv6Base} dev flannel-v6.1 onlink`,
        ]
      : []),
  ];
}

/** The rules of `--ip-masq` and `--iptables-forward-rules`: input for iptables-restore or ip6tables-restore. */
export function goRules(family: 4 | 6, self: GoNode): string {
  const [pods, own, multicast] =
    family === 4 ? [network, self.subnet, '224.0.0.0/4'] : [ipv6Network, self.ipv6Subnet, 'ff00::/8'];
  const masq = '-m comment --comment "flanneld masq"';
  const forward = '-m comment --comment "flanneld forward"';
  return [
    '*nat',
    ':FLANNEL-POSTRTG - [0:0]',
    `-A POSTROUTING ${masq} -j FLANNEL-POSTRTG`,
    `-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 ${masq} -j RETURN`,
    `-A FLANNEL-POSTRTG -s ${own} -d ${pods} ${masq} -j RETURN`,
    `-A FLANNEL-POSTRTG -s ${pods} -d ${own} ${masq} -j RETURN`,
    `-A FLANNEL-POSTRTG ! -s ${pods} -d ${own} ${masq} -j RETURN`,
    `-A FLANNEL-POSTRTG -s ${pods} ! -d ${multicast} ${masq} -j MASQUERADE --random-fully`,
    `-A FLANNEL-POSTRTG ! -s ${pods} -d ${pods} ${masq} -j MASQUERADE --random-fully`,
    'COMMIT',
    '*filter',
    ':FLANNEL-FWD - [0:0]',
    `-A FORWARD ${forward} -j FLANNEL-FWD`,
    `-A FLANNEL-FWD -s ${pods} ${forward} -j ACCEPT`,
    `-A FLANNEL-FWD -d ${pods} ${forward} -j ACCEPT`,
    'COMMIT',
    '',
  ].join('\n');
}

/** The same with EnableNFTables: input for `nft -f -`, one transaction, at each start. Both tables are there in any network. */
export function goNftables({ dualStack }: GoCluster, self: GoNode): string {
  const families = [
    { ip: 'ip', table: 'flannel-ipv4', pods: network, own: self.subnet, multicast: '224.0.0.0/4' },
    { ip: 'ip6', table: 'flannel-ipv6', pods: ipv6Network, own: self.ipv6Subnet, multicast: 'ff00::/8' },
  ];
  return families
    .flatMap(({ ip, table, pods, own, multicast }) => {
      const name = `${ip} ${table}`;
      const to = (chain: string, rule: string) => `add rule ${name} ${chain} ${rule}`;
      const made = `add table ${name} { comment "rules for ${table}"; }`;
      if (ip === 'ip6' && !dualStack) return [made];
      return [
        made,
        `add chain ${name} postrtg { comment "chain to manage traffic masquerading by flannel"; type nat hook postrouting priority 100; }`,
        `flush chain ${name} postrtg`,
        to('postrtg', 'meta mark 0x4000 return'),
        to('postrtg', `${ip} saddr ${own} ${ip} daddr ${pods} return`),
        to('postrtg', `${ip} saddr ${pods} ${ip} daddr ${own} return`),
        to('postrtg', `${ip} saddr != ${own} ${ip} daddr ${pods} return`),
        to('postrtg', `${ip} saddr ${pods} ${ip} daddr != ${multicast} masquerade fully-random`),
        to('postrtg', `${ip} saddr != ${pods} ${ip} daddr ${pods} masquerade fully-random`),
        `add chain ${name} forward { comment "chain to accept flannel traffic"; type filter hook forward priority 0; }`,
        `flush chain ${name} forward`,
        to('forward', `${ip} saddr ${pods} accept`),
        to('forward', `${ip} daddr ${pods} accept`),
      ];
    })
    .join('\n');
}

/** At its start it empties its chains, and fills them again a moment later; the jumps are taken away and appended anew. */
export const goRulesAgain = (
  family: 4 | 6,
  self: GoNode,
): { readonly empty: string; readonly fill: string } => ({
  empty: '*nat\n-F FLANNEL-POSTRTG\nCOMMIT\n*filter\n-F FLANNEL-FWD\nCOMMIT\n',
  fill: goRules(family, self)
    .replace(
      '-A POSTROUTING',
      (add) => `-D POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG\n${add}`,
    )
    .replace(
      '-A FORWARD',
      (add) => `-D FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD\n${add}`,
    ),
});

/** /run/flannel/subnet.env, with --ip-masq. */
export function goSubnetEnv({ backend, dualStack }: GoCluster, self: GoNode): string {
  return [
    `FLANNEL_NETWORK=${network}`,
    `FLANNEL_SUBNET=${self.base.replace(/0$/, '1')}/24`,
    ...(dualStack ? [`FLANNEL_IPV6_NETWORK=${ipv6Network}`, `FLANNEL_IPV6_SUBNET=${self.ipv6Base}1/64`] : []),
    `FLANNEL_MTU=${backend === 'vxlan' ? 1450 : 1500}`,
    'FLANNEL_IPMASQ=true',
    '',
  ].join('\n');
}

/** What its CNI plugin hands to the bridge plugin, and keeps in /var/lib/cni/flannel/<container>. */
export function goDelegate({ backend, dualStack }: GoCluster, self: GoNode): object {
  return {
    cniVersion: '0.3.1',
    hairpinMode: true,
    ipMasq: false,
    ipam: {
      ranges: [[{ subnet: self.subnet }], ...(dualStack ? [[{ subnet: self.ipv6Subnet }]] : [])],
      routes: [{ dst: network }, ...(dualStack ? [{ dst: ipv6Network }] : [])],
      type: 'host-local',
    },
    isDefaultGateway: true,
    isGateway: true,
    mtu: backend === 'vxlan' ? 1450 : 1500,
    name: 'cbr0',
    type: 'bridge',
  };
}

/** The annotations of its Node, of `--kube-subnet-mgr`. */
export function goAnnotations({ backend, dualStack }: GoCluster, self: GoNode): Record<string, string> {
  const data = (mac: string) => (backend === 'vxlan' ? `{"VNI":1,"VtepMAC":"${mac}"}` : 'null');
  return {
    'flannel.alpha.coreos.com/backend-data': data(self.mac),
    'flannel.alpha.coreos.com/backend-type': backend,
    'flannel.alpha.coreos.com/kube-subnet-manager': 'true',
    'flannel.alpha.coreos.com/public-ip': self.publicIP,
    ...(dualStack && {
      'flannel.alpha.coreos.com/backend-v6-data': data(self.ipv6Mac),
      'flannel.alpha.coreos.com/public-ipv6': self.publicIPv6,
    }),
  };
}

/**
 * Whether its peers look at a Node's update at all: in each family of the network its data, backend and address are compared as
 * texts, and one family in which nothing has changed is enough for them to pass the update over.
 */
export function goNotices(
  dualStack: boolean,
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): boolean {
  const differ = (...keys: string[]) =>
    keys.some(
      (key) => before[`flannel.alpha.coreos.com/${key}`] !== after[`flannel.alpha.coreos.com/${key}`],
    );
  const ipv4 = differ('backend-data', 'backend-type', 'public-ip');
  return ipv4 && (!dualStack || differ('backend-v6-data', 'backend-type', 'public-ipv6'));
}
