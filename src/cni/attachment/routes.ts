import {
  type Address,
  addressFromInteger,
  addressToInteger,
  type Family,
  familyOf,
} from '../../net/address.ts';
import { firstAddress, type Prefix, prefixFamily, prefixLength, prefixOf } from '../../net/prefix.ts';
import type { BridgeOptions, PlannedAddress, PlannedRoute } from './attachment.ts';

/** The pod's addresses and routes with their gateways, as the result names them. */
export interface Addressing {
  ips: readonly PlannedAddress[];
  routes: readonly PlannedRoute[];
}

/**
 * Fills in what the bridge decides: gateways (the first address of each subnet, where IPAM named none) and
 * a default route for each family. Unlike the reference, a default route without a gateway counts as one:
 * the reference would add a second, which the kernel refuses.
 */
export function completeAddressing(input: {
  options: Pick<BridgeOptions, 'isGateway' | 'isDefaultGateway'>;
  ips: readonly PlannedAddress[];
  routes: readonly PlannedRoute[];
}): Addressing {
  const { isGateway, isDefaultGateway } = input.options;
  const ips = input.ips.map(({ address, gateway }) => ({
    address,
    gateway: gateway ?? (isGateway ? addressAfter(firstAddress(address)) : undefined),
  }));
  const routes = distinct(input.routes);
  if (isDefaultGateway) {
    for (const { address, gateway } of ips) {
      const family = prefixFamily(address);
      if (!routes.some(({ dst }) => isDefaultRoute(dst) && prefixFamily(dst) === family)) {
        routes.push({ dst: defaultRoute(family), gw: gateway });
      }
    }
  }
  return { ips, routes };
}

/** The gateway that a route really takes: its own, else that of the first address of its family. */
export function gatewayOf(route: PlannedRoute, ips: readonly PlannedAddress[]): Address | undefined {
  const family = prefixFamily(route.dst);
  return route.gw ?? ips.find(({ address }) => prefixFamily(address) === family)?.gateway;
}

export const isDefaultRoute = (dst: Prefix): boolean => prefixLength(dst) === 0;

const defaultRoute = (family: Family): Prefix => prefixOf((family === 4 ? '0.0.0.0' : '::') as Address, 0);

const addressAfter = (address: Address): Address =>
  addressFromInteger(addressToInteger(address) + 1n, familyOf(address));

/** The kernel refuses a route that it has; one that is written twice is meant once. */
function distinct(routes: readonly PlannedRoute[]): PlannedRoute[] {
  const seen = new Set<string>();
  return routes.filter((route) => {
    const key = [route.dst, route.gw, route.table, route.priority].join();
    return !seen.has(key) && seen.add(key);
  });
}
