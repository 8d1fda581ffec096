import { prefixFamily } from '../net/prefix.ts';
import { familyOf } from '../net/address.ts';
import type { NetlinkError } from '../netlink/error.ts';
import type { Link } from './object.ts';
import { describe, type Operation } from './operation.ts';
import { NoSuchLink } from './requests.ts';

/** What was tried, what the kernel said, what usually causes it and what mends it. */
export function explain(operation: Operation, error: NetlinkError | NoSuchLink): string {
  if (error instanceof NoSuchLink) {
    return `cannot ${describe(operation)}: there is no link ${error.link}; it is tried again when it appears`;
  }
  const says = error.kernelSays === undefined ? error.code : `${error.code}, "${error.kernelSays}"`;
  const cause = causeOf(operation, error);
  return `cannot ${describe(operation)}: the kernel says ${says}${cause === undefined ? '' : `; ${cause}`}`;
}

function causeOf(operation: Operation, { code }: NetlinkError): string | undefined {
  if (code === 'EPERM')
    return 'flanneld needs the capability CAP_NET_ADMIN (and, in a container, the host network)';
  if (code === 'ENOBUFS' || code === 'ENOMEM') return 'it ran out of memory for it, or the answer was lost';
  const { object } = operation;
  if (object.kind === 'link')
    return object.info.kind === 'vxlan' ? linkCause(object as Link, code) : undefined;
  if (code === 'EACCES' || code === 'EAFNOSUPPORT')
    return isIPv6(operation) ? ipv6IsOff(object.link) : undefined;
  if (object.kind !== 'route') return undefined;
  if (code === 'ENETUNREACH' || code === 'EHOSTUNREACH') {
    return `no link of this node reaches ${object.gateway} directly: see "ip route get ${object.gateway}"`;
  }
  if (code === 'EINVAL' && object.onlink && isIPv6(operation)) {
    return `a route to ${object.gateway} leads to another device: see "ip -6 route get ${object.gateway}" and remove it`;
  }
  if (code === 'ENETDOWN')
    return `the link ${object.link ?? ''} is down: see "ip link show ${object.link ?? ''}"`;
  return undefined;
}

function linkCause({ info, mtu }: Link, code: string): string | undefined {
  switch (code) {
    case 'EOPNOTSUPP':
      return (
        'it has no vxlan module: try "modprobe vxlan"; where that fails, the module is in the package ' +
        'linux-modules-extra-raspi (Ubuntu on a Raspberry Pi), linux-modules-extra-$(uname -r) (other Ubuntu), ' +
        'or kernel-modules-$(uname -r) (Fedora, RHEL)'
      );
    case 'EEXIST':
      return (
        `another vxlan device has VNI ${info.vni} and port ${info.port}: find it with "ip -d link show type vxlan", ` +
        'and remove it, or set another VNI in net-conf.json on all nodes'
      );
    case 'EADDRINUSE':
      return `another program has UDP port ${info.port}: find it with "ss -lunp", or set another Port on all nodes`;
    case 'EINVAL':
      return `the MTU ${mtu} may be more than ${info.lower} lets through, or ${info.local} of another family`;
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
      return familyOf(info.local) === 6 ? ipv6IsOff(info.lower) : undefined;
    default:
      return undefined;
  }
}

const ipv6IsOff = (link = 'all'): string =>
  `IPv6 may be switched off: see "sysctl net.ipv6.conf.${link}.disable_ipv6"`;

function isIPv6({ object }: Operation): boolean {
  if (object.kind === 'route') return prefixFamily(object.destination) === 6;
  return object.kind === 'address' && prefixFamily(object.address) === 6;
}
