import { networkOf, prefixAddress, prefixFamily, prefixLength } from '../../net/prefix.ts';
import * as k from '../../netlink/constants.ts';
import { getRoutes, type RouteMessage } from '../../netlink/route/route.ts';
import type { PlannedRoute } from './attachment.ts';
import { isDefaultRoute } from './routes.ts';
import { CniError, cniCodes } from '../error.ts';
import { addressesOf, type Session } from './link.ts';
import type { Result } from '../result.ts';

/** Looks at the pod's addresses and routes. Throws a CniError that names the one that is missing. */
export function checkRoutes(pod: Session, ifindex: number, ifname: string, { ips, routes }: Result): void {
  const present = addressesOf(pod, ifindex);
  const lost = ips.find(({ address }) => !present.includes(address));
  if (lost !== undefined) throw broken(`Failed to match addr ${lost.address} on interface ${ifname}`);
  const wanted = [...ips.map(({ address }): PlannedRoute => ({ dst: networkOf(address) })), ...routes];
  const families = new Set(wanted.map(({ dst }) => prefixFamily(dst)));
  const table = [...families].flatMap((family) =>
    pod.dump(getRoutes({ rtm_family: family === 4 ? k.AF_INET : k.AF_INET6 })),
  );
  const missing = wanted.find((route) => !table.some((message) => matches(message, route)));
  if (missing !== undefined) throw broken(`Expected Route ${routeText(missing)} not found in routing table`);
}

/**
 * In any table: sbr moves routes from one to another. Whichever gateway a default route has, there is one; others have
 * the gateway that the result names, if it does.
 */
function matches(message: RouteMessage, { dst, gw, table }: PlannedRoute): boolean {
  if (message.rtm_dst_len !== prefixLength(dst) || message.rtm_type !== k.RTN_UNICAST) return false;
  if (table !== undefined && table !== 0 && (message.RTA_TABLE ?? message.rtm_table) !== table) return false;
  const family = message.rtm_family === k.AF_INET ? 4 : 6;
  if (family !== prefixFamily(dst)) return false;
  if (isDefaultRoute(dst)) return true;
  if (message.RTA_DST !== prefixAddress(networkOf(dst))) return false;
  return gw === undefined || message.RTA_GATEWAY === gw || hasHop(message, gw);
}

const hasHop = ({ RTA_MULTIPATH }: RouteMessage, gw: string): boolean =>
  RTA_MULTIPATH?.some((hop) => hop.RTA_GATEWAY === gw) === true;

const routeText = ({ dst, gw }: PlannedRoute): string => (gw === undefined ? dst : `${dst} via ${gw}`);

const broken = (msg: string): CniError =>
  new CniError(cniCodes.brokenAttachment, msg, 'delete the pod: a new one is whole');
