import { type Address, isLinkLocalUnicast } from '../net/address.ts';
import { containsAddress, type Prefix } from '../net/prefix.ts';
import { ipipDevice } from './ipip.ts';

/** A device as it was found. */
export interface FoundDevice {
  readonly name: string;
  readonly addresses: readonly Address[];
}

/** Go flannel's names and ours: vxlan's, ipip's, WireGuard's; older K3s had WireGuard in `flannel.1`. */
const isFlannelName = (name: string): boolean =>
  /^flannel(?:-v6)?\.\d+$/.test(name) || [ipipDevice, 'flannel-wg', 'flannel-wg-v6'].includes(name);

/**
 * Devices that a flannel of another backend or VNI left on this node, by name. A longer prefix through one of them
 * would lead pods astray. One with an address outside of `networks` is that of another flannel on this host, and so,
 * perhaps, is one without any.
 */
export function leftovers(found: readonly FoundDevice[], networks: readonly Prefix[]): string[] {
  const isInside = (address: Address) => networks.some((network) => containsAddress(network, address));
  return found
    .filter(({ name, addresses }) => {
      const own = addresses.filter((address) => !isLinkLocalUnicast(address));
      return isFlannelName(name) && own.length > 0 && own.every(isInside);
    })
    .map(({ name }) => name);
}
