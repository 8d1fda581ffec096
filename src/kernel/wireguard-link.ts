import type { LinkKind } from './link-kind.ts';
import type { WireguardInfo } from './object.ts';

/** A TUN device by one of our names is wireguard-go's: one that nobody serves is found out when it is read. */
export const wireguardLink: LinkKind<WireguardInfo> = {
  read({ IFLA_INFO_KIND: kind }) {
    if (kind !== 'wireguard' && kind !== 'tun') return undefined;
    return { kind: 'wireguard', userspace: kind === 'tun' };
  },
  mustBeReplaced: ({ userspace }, actual) => actual.userspace !== userspace,
  changes: () => ({}),
  create: () => ({ IFLA_INFO_KIND: 'wireguard' }),
  change: () => ({ IFLA_INFO_KIND: 'wireguard' }),
  text: ({ userspace }) => (userspace ? 'wireguard by wireguard-go' : 'wireguard'),
  cause(_wanted, mtu, code) {
    switch (code) {
      case 'EOPNOTSUPP':
        return (
          'it has no WireGuard module: try "modprobe wireguard"; where there is none, flanneld takes wireguard-go ' +
          'when it is started again'
        );
      case 'EINVAL':
        return `the MTU ${mtu} may be out of range`;
      default:
        return undefined;
    }
  },
};
