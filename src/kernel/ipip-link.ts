import type { Address } from '../net/address.ts';
import type { LinkKind } from './link-kind.ts';
import type { IpipInfo } from './object.ts';

const any = '0.0.0.0' as Address;

/** As Go flannel makes it: the inner packet's TTL, and no path MTU discovery of its own. */
export const ipipLink: LinkKind<IpipInfo> = {
  read(info) {
    const data = info.IFLA_INFO_KIND === 'ipip' ? info.IFLA_INFO_DATA : undefined;
    if (data === undefined) return undefined;
    const remote = data.IFLA_IPTUN_REMOTE ?? any;
    const wraps = (data.IFLA_IPTUN_ENCAP_TYPE ?? 0) !== 0 || data.IFLA_IPTUN_COLLECT_METADATA === true;
    if (remote !== any || wraps || (data.IFLA_IPTUN_LINK ?? 0) !== 0) return undefined;
    return { kind: 'ipip', local: data.IFLA_IPTUN_LOCAL ?? any };
  },
  mustBeReplaced: () => false,
  changes: ({ local }, actual) => (actual.local === local ? {} : { local }),
  create: message,
  // What is left out of a change goes back to the kernel's default.
  change: message,
  text: ({ local }) => `ipip local ${local}`,
  cause({ local }, mtu, code) {
    switch (code) {
      case 'EOPNOTSUPP':
        return 'it has no ipip module: try "modprobe ipip"; where there is none, use vxlan';
      case 'EEXIST':
        return (
          `another ipip device has the source ${local} and no remote end: find it with ` +
          '"ip -d link show type ipip", and remove it'
        );
      case 'EINVAL':
        return `the MTU ${mtu} may be out of range`;
      default:
        return undefined;
    }
  },
};

function message({ local }: IpipInfo) {
  const IFLA_INFO_DATA = {
    IFLA_IPTUN_LOCAL: local,
    IFLA_IPTUN_TTL: 0,
    IFLA_IPTUN_TOS: 0,
    IFLA_IPTUN_PMTUDISC: 0,
  };
  return { IFLA_INFO_KIND: 'ipip', IFLA_INFO_DATA } as const;
}
