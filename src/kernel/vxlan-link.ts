import { familyOf } from '../net/address.ts';
import type { LinkMessage } from '../netlink/route/link.ts';
import { ipv6IsOff } from './ipv6-is-off.ts';
import type { LinkKind } from './link-kind.ts';
import type { LinkNames } from './link-names.ts';
import type { VxlanInfo } from './object.ts';

type VxlanData = NonNullable<
  Extract<NonNullable<LinkMessage['IFLA_LINKINFO']>, { IFLA_INFO_KIND: 'vxlan' }>['IFLA_INFO_DATA']
>;

/** As Go flannel makes it, down to the zeros: a device of the one is the same as the other's. */
export const vxlanLink: LinkKind<VxlanInfo> = {
  read(info, names) {
    const data = info.IFLA_INFO_KIND === 'vxlan' ? info.IFLA_INFO_DATA : undefined;
    const local = data?.IFLA_VXLAN_LOCAL ?? data?.IFLA_VXLAN_LOCAL6;
    if (data === undefined || local === undefined || hasMore(data)) return undefined;
    return {
      kind: 'vxlan',
      vni: data.IFLA_VXLAN_ID ?? 0,
      lower: names.nameOf(data.IFLA_VXLAN_LINK ?? 0) ?? '',
      local,
      port: data.IFLA_VXLAN_PORT ?? 0,
      learning: data.IFLA_VXLAN_LEARNING === 1,
      gbp: data.IFLA_VXLAN_GBP === true,
    };
  },
  mustBeReplaced: (wanted, actual) =>
    actual.vni !== wanted.vni ||
    familyOf(actual.local) !== familyOf(wanted.local) ||
    actual.port !== wanted.port ||
    actual.gbp !== wanted.gbp,
  changes: ({ learning, lower, local }, actual) => ({
    ...(actual.learning === learning ? {} : { learning }),
    ...(actual.lower === lower ? {} : { lower }),
    ...(actual.local === local ? {} : { local }),
  }),
  create: (wanted, names) => ({
    IFLA_INFO_KIND: 'vxlan',
    IFLA_INFO_DATA: {
      IFLA_VXLAN_ID: wanted.vni,
      ...way(wanted, names),
      IFLA_VXLAN_TTL: 0,
      IFLA_VXLAN_TOS: 0,
      IFLA_VXLAN_LEARNING: wanted.learning ? 1 : 0,
      IFLA_VXLAN_PROXY: 0,
      IFLA_VXLAN_RSC: 0,
      IFLA_VXLAN_L2MISS: 0,
      IFLA_VXLAN_L3MISS: 0,
      IFLA_VXLAN_PORT: wanted.port,
      IFLA_VXLAN_UDP_ZERO_CSUM6_TX: 0,
      IFLA_VXLAN_UDP_ZERO_CSUM6_RX: 0,
      IFLA_VXLAN_GBP: wanted.gbp ? true : undefined,
    },
  }),
  change: (wanted, names) => ({
    IFLA_INFO_KIND: 'vxlan',
    IFLA_INFO_DATA: { ...way(wanted, names), IFLA_VXLAN_LEARNING: wanted.learning ? 1 : 0 },
  }),
  text({ vni, local, lower, port, learning, gbp }) {
    const flags = `${learning ? '' : ' nolearning'}${gbp ? ' gbp' : ''}`;
    return `vxlan id ${vni} local ${local} dev ${lower} dstport ${port}${flags}`;
  },
  cause,
};

/** Sends to a group, or answers in others' places: no device of flannel's does. */
const hasMore = (data: VxlanData): boolean =>
  data.IFLA_VXLAN_GROUP !== undefined ||
  data.IFLA_VXLAN_GROUP6 !== undefined ||
  [data.IFLA_VXLAN_PROXY, data.IFLA_VXLAN_RSC, data.IFLA_VXLAN_L2MISS, data.IFLA_VXLAN_L3MISS].includes(1);

/** The way out can be another one without loss: what is on the device stays. */
const way = ({ lower, local }: VxlanInfo, names: LinkNames) => ({
  IFLA_VXLAN_LINK: names.need(lower),
  [familyOf(local) === 4 ? 'IFLA_VXLAN_LOCAL' : 'IFLA_VXLAN_LOCAL6']: local,
});

function cause({ vni, port, lower, local }: VxlanInfo, mtu: number, code: string): string | undefined {
  switch (code) {
    case 'EOPNOTSUPP':
      return (
        'it has no vxlan module: try "modprobe vxlan"; where that fails, the module is in the package ' +
        'linux-modules-extra-raspi (Ubuntu on a Raspberry Pi), linux-modules-extra-$(uname -r) (other Ubuntu), ' +
        'or kernel-modules-$(uname -r) (Fedora, RHEL)'
      );
    case 'EEXIST':
      return (
        `another vxlan device has VNI ${vni} and port ${port}: find it with "ip -d link show type vxlan", ` +
        'and remove it, or set another VNI in net-conf.json on all nodes'
      );
    case 'EADDRINUSE':
      return `another program has UDP port ${port}: find it with "ss -lunp", or set another Port on all nodes`;
    case 'EINVAL':
      return `the MTU ${mtu} may be more than ${lower} lets through, or ${local} of another family`;
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
      return familyOf(local) === 6 ? ipv6IsOff(lower) : undefined;
    default:
      return undefined;
  }
}
