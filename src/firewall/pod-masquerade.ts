import type { Address, Family } from '../net/address.ts';
import { familyOf } from '../net/address.ts';
import type { Prefix } from '../net/prefix.ts';
import { prefixAddress } from '../net/prefix.ts';

/**
 * What hides one attachment's addresses behind the node's when its traffic leaves the pod's subnet: the
 * rules of the reference bridge plugin (`ipMasq`), so that it can take away ours and we can take away its.
 * An address carries the length of its subnet: traffic inside that subnet is left alone.
 */
export interface PodMasquerade {
  network: string;
  containerID: string;
  ifname: string;
  addresses: readonly Prefix[];
}

/** The two ways in which the reference knows to write the rules: `ipMasqBackend`. */
export type MasqueradeBackend = 'iptables' | 'nftables';

/** Multicast is never masqueraded. */
export const multicast: Readonly<Record<Family, Prefix>> = {
  4: '224.0.0.0/4' as Prefix,
  6: 'ff00::/8' as Prefix,
};

export const addressesOfFamily = (addresses: readonly Prefix[], family: Family): Prefix[] =>
  addresses.filter((address) => familyOf(prefixAddress(address)) === family);

/** The bare address as the rules name it. */
export const bare = (address: Prefix): Address => prefixAddress(address);

/** The first `digits` hexadecimal digits of SHA-512: how the reference makes names of fixed length. */
export const digest = (text: string, digits: number): string =>
  process
    .getBuiltinModule('node:crypto') // loaded by those who masquerade, for it takes its time
    .createHash('sha512')
    .update(text)
    .digest('hex')
    .slice(0, digits);
