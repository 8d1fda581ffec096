import type { JsonObject } from '../../json/go-json.ts';
import type { Address } from '../../net/address.ts';
import { familyOf } from '../../net/address.ts';
import { type Prefix, prefix, prefixFamily } from '../../net/prefix.ts';

/** What K3s makes net-conf.json from. */
export interface K3sNetwork {
  /** `--cluster-cidr`; of each family the first counts. */
  readonly clusterCidr: readonly Prefix[];
  /** The first decides which family a cluster without `--cluster-cidr` has. */
  readonly nodeIPs: readonly Address[];
  readonly backend: JsonObject;
}

const defaultRanges = { 4: prefix('10.42.0.0/16'), 6: prefix('fd00:42::/56') };

/** net-conf.json as K3s writes it, key by key. */
export function k3sNetConf({ clusterCidr, nodeIPs, backend }: K3sNetwork): JsonObject {
  const ranges = clusterRanges(clusterCidr, nodeIPs);
  const ipv4 = ranges.find((range) => prefixFamily(range) === 4);
  const ipv6 = ranges.find((range) => prefixFamily(range) === 6);
  return {
    Network: ipv4 ?? '0.0.0.0/0',
    EnableIPv6: ipv6 !== undefined,
    EnableIPv4: ipv4 !== undefined,
    IPv6Network: ipv6 ?? '::/0',
    Backend: backend,
  };
}

/** `--cluster-cidr`, or K3s's for the family of the node. */
function clusterRanges(clusterCidr: readonly Prefix[], nodeIPs: readonly Address[]): readonly Prefix[] {
  if (clusterCidr.length > 0) return clusterCidr;
  const [first] = nodeIPs;
  return [defaultRanges[first === undefined ? 4 : familyOf(first)]];
}
