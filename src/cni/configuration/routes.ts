import { parseAddress } from '../../net/address.ts';
import { networkOf, parsePrefix } from '../../net/prefix.ts';
import type { PlannedRoute } from '../attachment/attachment.ts';
import { badField, Fields } from './fields.ts';

const keys = ['dst', 'gw', 'mtu', 'advmss', 'priority', 'table', 'scope'];

/** A list of routes as CNI writes it, in `ipam` and in results. Throws a CniError that names the route by `where`. */
export function readRoutes(value: unknown, where: string): PlannedRoute[] {
  return new Fields({ routes: value }, '', ['routes']).each('routes', keys).map((fields, i) => {
    const path = `${where}[${i}]`;
    const dst = fields.string('dst') ?? '';
    const prefix = parsePrefix(dst);
    if (prefix === undefined) throw badField(`${path}.dst must be a CIDR address, and is "${dst}"`);
    const gw = fields.string('gw') ?? '';
    const gateway = parseAddress(gw);
    if (gw !== '' && gateway === undefined)
      throw badField(`${path}.gw must be an IP address, and is "${gw}"`);
    return {
      dst: networkOf(prefix),
      gw: gateway,
      mtu: fields.unsigned('mtu') || undefined,
      advmss: fields.unsigned('advmss') || undefined,
      priority: fields.unsigned('priority') || undefined,
      table: fields.unsigned('table'),
      scope: fields.unsigned('scope'),
    };
  });
}
