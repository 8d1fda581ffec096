import { overlaps, prefix } from '../../net/prefix.ts';
import { addresses, externalAddresses } from './addresses.ts';
import { collisions } from './collisions.ts';
import { families } from './families.ts';
import { type Finding, hint, type ValidationInput } from './finding.ts';
import { maskSizes } from './mask-sizes.ts';

/**
 * Looks at all that is given together, before anything is touched. The rules are K3s's, and those of the kube-controller-manager
 * and the kube-apiserver in it.
 */
export function validate(input: ValidationInput): Finding[] {
  const looks = [families, maskSizes, collisions, addresses, externalAddresses, ipv6Masquerade];
  const found = looks.flatMap((look) => look(input));
  // An interface with two addresses in one network is one finding.
  return [...new Map(found.map((finding) => [finding.text, finding])).values()];
}

const uniqueLocal = prefix('fc00::/7');

function ipv6Masquerade({ network }: ValidationInput): Finding[] {
  const { ipv6 } = network.config.network;
  if (ipv6 === undefined || !overlaps(uniqueLocal, ipv6)) return [];
  if (network.masquerade[6] || !network.masquerade[4]) return [];
  return [
    hint(
      `the pods' IPv6 addresses ${ipv6} are local ones, and without --flannel-ipv6-masq they reach nothing outside of the cluster`,
    ),
  ];
}
