import type { FoundDevice } from '../../backend/leftovers.ts';
import type { SyncSession } from '../../netlink/session.ts';
import { observeHost } from './host.ts';

/** The node's devices with their addresses. Throws a NetlinkError. */
export function foundDevices(session: SyncSession): FoundDevice[] {
  const { links, addresses } = observeHost(session);
  return links.map(({ index, name }) => ({
    name,
    addresses: addresses.filter(({ link }) => link === index).map(({ address }) => address),
  }));
}
