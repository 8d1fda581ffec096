import { parseAddress } from '../../net/address.ts';
import {
  networkOf,
  type Prefix,
  parsePrefix,
  prefix,
  prefixAddress,
  prefixFamily,
  prefixLength,
} from '../../net/prefix.ts';

/** The subnets of a lease; its key in etcd says them. */
export interface Subnets {
  readonly subnet?: Prefix;
  readonly ipv6Subnet?: Prefix;
}

/** Stands in the key where Go flannel has no IPv4 subnet to name. */
const noSubnet = prefix('0.0.0.0/0');

/** As Go flannel names it: `10.5.1.0-24`, in dual-stack `10.5.1.0-24&fd00:0:0:1::-64`, without IPv4 `0.0.0.0-0&fd00:0:0:1::-64`. */
export function subnetKey({ subnet = noSubnet, ipv6Subnet }: Subnets): string {
  return ipv6Subnet === undefined ? dashed(subnet) : `${dashed(subnet)}&${dashed(ipv6Subnet)}`;
}

/** Reads one. A string says why it is none: stricter than Go flannel, which looks only at the key's end. */
export function parseSubnetKey(key: string): Subnets | string {
  const match = /^([0-9.]{7,15})-([0-9]{1,2})(?:&([0-9a-f:]{2,39})-([0-9]{1,3}))?$/.exec(key);
  if (match === null) return 'its key names no subnet, as "10.5.1.0-24" does';
  const [, address = '', length = '', ipv6Address, ipv6Length = ''] = match;
  const subnet = part(address, length, 4);
  const ipv6Subnet = ipv6Address === undefined ? undefined : part(ipv6Address, ipv6Length, 6);
  if (typeof subnet === 'object') return subnet.why;
  if (typeof ipv6Subnet === 'object') return ipv6Subnet.why;
  if (subnet === noSubnet && ipv6Subnet === undefined) return 'its key names no subnet';
  return { ...(subnet !== noSubnet && { subnet }), ...(ipv6Subnet !== undefined && { ipv6Subnet }) };
}

const dashed = (subnet: Prefix): string => `${prefixAddress(subnet)}-${prefixLength(subnet)}`;

function part(written: string, length: string, family: 4 | 6): Prefix | { why: string } {
  const address = parseAddress(written);
  const subnet = address === undefined ? undefined : parsePrefix(`${address}/${length}`);
  if (subnet === undefined || prefixFamily(subnet) !== family) {
    return { why: `its key names no IPv${family} subnet: ${written}-${length}` };
  }
  // Two keys for one subnet would be two leases.
  return networkOf(subnet) === subnet && dashed(subnet) === `${written}-${length}`
    ? subnet
    : { why: `its key is not how the subnet ${networkOf(subnet)} is written` };
}
