import { addressFromInteger, addressToInteger } from '../../net/address.ts';
import {
  firstAddress,
  networkOf,
  type Prefix,
  parsePrefix,
  prefixFamily,
  prefixLength,
  prefixOf,
} from '../../net/prefix.ts';
import { writeWhole } from './file.ts';

/** What CNI plugins read: this node's pod subnets within the network, and the pods' MTU. */
export interface SubnetEnv {
  readonly network?: Prefix;
  /** The first usable address, with the subnet's length: the pods' gateway. */
  readonly subnet?: Prefix;
  readonly ipv6Network?: Prefix;
  readonly ipv6Subnet?: Prefix;
  /** In bytes. */
  readonly mtu: number;
  /** Whether this daemon masquerades the pods; if not, the CNI plugin does, pod by pod. */
  readonly ipMasq: boolean;
}

/** The first usable address of a subnet, with its length: 10.244.1.0/24 gives 10.244.1.1/24. */
export function gatewayOf(subnet: Prefix): Prefix {
  const first = addressToInteger(firstAddress(subnet)) + 1n;
  return prefixOf(addressFromInteger(first, prefixFamily(subnet)), prefixLength(subnet));
}

/** The text, byte for byte as Go flannel writes it. */
export function subnetEnvText(env: SubnetEnv): string {
  const lines = [
    ['FLANNEL_NETWORK', env.network],
    ['FLANNEL_SUBNET', env.subnet],
    ['FLANNEL_IPV6_NETWORK', env.ipv6Network],
    ['FLANNEL_IPV6_SUBNET', env.ipv6Subnet],
    ['FLANNEL_MTU', env.mtu],
    ['FLANNEL_IPMASQ', env.ipMasq],
  ];
  return lines.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}\n`])).join('');
}

/** The subnets whose gateways a file of an earlier run names; one that is not readable, or a list, counts as absent. */
export function previousSubnets(text: string): { subnet?: Prefix; ipv6Subnet?: Prefix } {
  const read = (key: string, family: 4 | 6): Prefix | undefined => {
    const value = new RegExp(`^\\s*(?:export\\s+)?${key}=\\s*["']?([^\\s"']*)["']?\\s*$`, 'm').exec(
      text,
    )?.[1];
    const prefix = value === undefined ? undefined : parsePrefix(value);
    return prefix !== undefined && prefixFamily(prefix) === family ? networkOf(prefix) : undefined;
  };
  const subnet = read('FLANNEL_SUBNET', 4);
  const ipv6Subnet = read('FLANNEL_IPV6_SUBNET', 6);
  return { ...(subnet && { subnet }), ...(ipv6Subnet && { ipv6Subnet }) };
}

/** Writes the file whole or not at all, readable by everybody. Throws the error of node:fs. */
export function writeSubnetEnv(file: string, env: SubnetEnv): void {
  writeWhole(file, subnetEnvText(env), { file: 0o644, directory: 0o755 });
}
