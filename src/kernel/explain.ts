import { prefixFamily } from '../net/prefix.ts';
import type { NetlinkError } from '../netlink/error.ts';
import { ipv6IsOff } from './ipv6-is-off.ts';
import { kindOf } from './link-kinds.ts';
import { describe, type Operation } from './operation.ts';
import { NoSuchLink } from './link-names.ts';

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
    return object.info.kind === 'other'
      ? undefined
      : kindOf(object.info).cause(object.info, object.mtu, code);
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

function isIPv6({ object }: Operation): boolean {
  if (object.kind === 'route') return prefixFamily(object.destination) === 6;
  return object.kind === 'address' && prefixFamily(object.address) === 6;
}
