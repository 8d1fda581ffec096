import { goJson, isObject, type JsonObject } from '../../json/go-json.ts';
import { networkOf, type Prefix } from '../../net/prefix.ts';
import type { NetConf } from './net-conf.ts';
import { badField } from './fields.ts';
import { readRoutes } from './routes.ts';
import type { SubnetEnv } from './subnet-env.ts';

/**
 * The delegate's configuration as Go's flannel makes it of its own and of the subnet file: the delegate's keys as
 * they are written, what is missing by flannel's defaults, the node's subnets and the networks' routes. One thing
 * more: `args` is handed on. Throws a CniError.
 */
export function delegateOf(conf: NetConf, env: SubnetEnv): JsonObject {
  const { delegate } = conf;
  if ('type' in delegate && typeof delegate['type'] !== 'string')
    throw badField('delegate.type must be a string');
  for (const key of ['name', 'ipam']) {
    if (key in delegate)
      throw badField(`delegate.${key} must not be there: flannel sets it; ${instead(key)}`);
  }
  const type = delegate['type'] ?? 'bridge';
  return {
    ipMasq: !env.ipMasq,
    mtu: env.mtu,
    ...(type === 'bridge' && { isGateway: true }),
    ...delegate,
    type,
    name: conf.name,
    cniVersion: conf.cniVersion,
    ...(conf.runtimeConfig && { runtimeConfig: conf.runtimeConfig }),
    ...(conf.args && { args: conf.args }),
    ipam: ipamOf(conf, env),
  };
}

const instead = (key: string): string =>
  key === 'name' ? 'the network has its name at the top' : 'write "ipam" beside "delegate"';

function ipamOf({ ipam }: NetConf, env: SubnetEnv): JsonObject {
  const subnets = [env.subnet, env.ipv6Subnet].filter((subnet) => subnet !== undefined);
  return {
    type: 'host-local',
    ...ipam,
    ranges: subnets.map((subnet) => [{ subnet: networkOf(subnet) }]),
    routes: [
      ...readRoutes(ipam['routes'], 'ipam.routes'),
      ...env.networks.map(to),
      ...env.ipv6Networks.map(to),
    ],
  };
}

const to = (network: Prefix) => ({ dst: networkOf(network) });

/** The text of flannel's state file, with the keys in their order, as Go writes a map. */
export const delegateText = (delegate: JsonObject): string =>
  goJson(delegate, (key, value) => (key === 'routes' ? value : sorted(value)));

/** Go sorts the keys of a map by their bytes. */
function sorted(value: unknown): unknown {
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
  );
}
