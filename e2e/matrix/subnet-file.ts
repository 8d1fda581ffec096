/** What flanneld tells the CNI plugin. */
export interface SubnetFile {
  readonly subnet?: string;
  readonly ipv6Subnet?: string;
  readonly mtu: number;
}

export function parseSubnetFile(text: string): SubnetFile {
  const value = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1];
  const subnet = value('FLANNEL_SUBNET');
  const ipv6Subnet = value('FLANNEL_IPV6_SUBNET');
  return {
    ...(subnet !== undefined && { subnet }),
    ...(ipv6Subnet !== undefined && { ipv6Subnet }),
    mtu: Number(value('FLANNEL_MTU')),
  };
}
