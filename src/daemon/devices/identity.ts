import type { Backend, Identity } from '../../backend/backend.ts';
import type { Lease } from '../../lease/lease.ts';
import { isUnicastMac, type Mac, parseMac, randomMac } from '../../net/mac.ts';
import { isNetlinkError } from '../../netlink/error.ts';
import { getLink } from '../../netlink/route/link.ts';
import type { SyncSession } from '../../netlink/session.ts';
import type { Random } from '../../world/random.ts';

/**
 * The MAC addresses of the backend's devices: those that the devices have, else those that peers were told last, else
 * random ones. Peers hold on to a MAC address, so a new one is the last resort.
 */
export function macsOf(
  backend: Pick<Backend, 'links'>,
  session: Pick<SyncSession, 'request'>,
  leases: readonly (Lease | undefined)[],
  random: Random,
): Identity['macs'] {
  const entries = backend.links.map((name): [string, Mac] => {
    const known = leases.map((lease) => lease && announcedMac(lease, name)).find((mac) => mac !== undefined);
    return [name, deviceMac(session, name) ?? known ?? randomMac(random(6))];
  });
  return Object.fromEntries(entries);
}

function deviceMac(session: Pick<SyncSession, 'request'>, name: string): Mac | undefined {
  try {
    const [link] = session.request(getLink({ IFLA_IFNAME: name }));
    const isVxlan = link?.IFLA_LINKINFO?.IFLA_INFO_KIND === 'vxlan';
    return isVxlan && typeof link.IFLA_ADDRESS === 'string' ? link.IFLA_ADDRESS : undefined;
  } catch (error) {
    if (isNetlinkError(error, 'ENODEV')) return undefined;
    throw error;
  }
}

/** The device for IPv6 tells its own in the IPv6 data. */
function announcedMac({ attributes }: Lease, name: string): Mac | undefined {
  const data = name.startsWith('flannel-v6') ? attributes.backendV6Data : attributes.backendData;
  if (typeof data !== 'object' || data === null || !('VtepMAC' in data)) return undefined;
  const mac = typeof data.VtepMAC === 'string' ? parseMac(data.VtepMAC) : undefined;
  // The registry is not ours alone, and no device can have a group's address.
  return mac !== undefined && isUnicastMac(mac) ? mac : undefined;
}
