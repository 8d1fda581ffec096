import { readFileSync, writeFileSync } from 'node:fs';
import type { Log } from '../../world/log.ts';

/**
 * Our devices take no router advertisements: a packet from a pod elsewhere must not give this node a default route. As Go
 * flannel, as well as it can: a container may see the file read-only, and without IPv6 there is none.
 */
export function refuseAdvertisements(link: string, log: Log): void {
  const file = `/proc/sys/net/ipv6/conf/${link}/accept_ra`;
  try {
    if (readFileSync(file, 'utf8').trim() !== '0') writeFileSync(file, '0');
  } catch (error) {
    log.debug({ file, why: (error as Error).message }, 'router advertisements cannot be refused');
  }
}
