import { familyOf } from '../../net/address.ts';
import type { LeaseAttributes } from '../../lease/lease.ts';
import type { Options } from '../options/options.ts';

/** What peers are told instead of the interface's addresses: with `--flannel-external-ip` the first of each family, as K3s. */
export function announcedAddresses(
  options: Pick<Options, 'flannel-external-ip' | 'node-external-ip'>,
): Pick<LeaseAttributes, 'publicIP' | 'publicIPv6'> {
  if (!options['flannel-external-ip']) return {};
  const publicIP = options['node-external-ip'].find((address) => familyOf(address) === 4);
  const publicIPv6 = options['node-external-ip'].find((address) => familyOf(address) === 6);
  return { ...(publicIP && { publicIP }), ...(publicIPv6 && { publicIPv6 }) };
}
