import type { External } from '../../backend/backend.ts';
import type { Lease, LeaseAttributes, PodNetwork } from '../../lease/lease.ts';
import { containsPrefix, type Prefix } from '../../net/prefix.ts';
import { gatewayOf, type SubnetEnv } from '../files/subnet-env.ts';

/** Where peers are told to reach this node. In a family that the network has not, nothing is told. */
export function toldAddresses(
  { publicIP, publicIPv6 }: External,
  announced: Pick<LeaseAttributes, 'publicIP' | 'publicIPv6'> = {},
): Pick<LeaseAttributes, 'publicIP' | 'publicIPv6'> {
  return {
    ...(publicIP && { publicIP: announced.publicIP ?? publicIP }),
    ...(publicIPv6 && { publicIPv6: announced.publicIPv6 ?? publicIPv6 }),
  };
}

/** Whether the lease has a subnet of each family of the network. */
export function fits({ ipv4, ipv6 }: PodNetwork, { subnet, ipv6Subnet }: Lease): boolean {
  const isIn = (network: Prefix | undefined, own: Prefix | undefined): boolean =>
    network === undefined || (own !== undefined && containsPrefix(network, own));
  return isIn(ipv4, subnet) && isIn(ipv6, ipv6Subnet);
}

/** What CNI plugins need to know of it. */
export function subnetEnvOf(
  { ipv4, ipv6 }: PodNetwork,
  { subnet, ipv6Subnet }: Lease,
  pods: Pick<SubnetEnv, 'mtu' | 'ipMasq'>,
): SubnetEnv {
  return {
    ...(ipv4 && { network: ipv4 }),
    ...(ipv6 && { ipv6Network: ipv6 }),
    ...(subnet && { subnet: gatewayOf(subnet) }),
    ...(ipv6Subnet && { ipv6Subnet: gatewayOf(ipv6Subnet) }),
    ...pods,
  };
}

/** Its subnets, for people. */
export const describeLease = ({ subnet, ipv6Subnet }: Lease): string =>
  [subnet, ipv6Subnet].filter((each) => each !== undefined).join(' ');
