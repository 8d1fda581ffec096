import type { JsonObject } from '../../json/go-json.ts';
import { parseAddress } from '../../net/address.ts';
import { type Prefix, parsePrefix } from '../../net/prefix.ts';
import { CniError, cniCodes } from '../error.ts';
import { badField, Fields } from './fields.ts';
import type { Result } from '../result.ts';
import { readRoutes } from './routes.ts';
import { isAtLeast, isSupported } from '../version.ts';

/**
 * `prevResult`, whatever version it is in: its own when it names one, else the configuration's. Undefined when there is
 * none. Throws a CniError that names the key.
 */
export function readPreviousResult(document: JsonObject, cniVersion: string): Result | undefined {
  const top = new Fields(document, '', ['prevResult']);
  if (top.all['prevResult'] === undefined) return undefined;
  const keys = ['cniVersion', 'interfaces', 'ips', 'routes', 'ip4', 'ip6'];
  const result = top.below('prevResult', keys);
  const version = result.string('cniVersion') || cniVersion;
  if (!isSupported(version)) {
    throw new CniError(
      cniCodes.decodeFailure,
      `prevResult has the CNI version "${version}", which is unknown here`,
    );
  }
  return isAtLeast(version, '0.3.0') ? readRich(result) : readOld(result);
}

function readRich(result: Fields): Result {
  return {
    interfaces: result.each('interfaces', ['name', 'mac', 'sandbox']).map((each) => ({
      name: each.string('name') ?? '',
      mac: each.string('mac') || undefined,
      sandbox: each.string('sandbox') || undefined,
    })),
    ips: result.each('ips', ['address', 'gateway', 'interface']).map((each) => ({
      address: readPrefix(each, 'address'),
      gateway: readGateway(each),
      interface: each.integer('interface'),
    })),
    routes: readRoutes(result.all['routes'], result.path('routes')),
  };
}

/** 0.1.0 and 0.2.0 know no interfaces. */
function readOld(result: Fields): Result {
  const parts = ['ip4', 'ip6'].filter((key) => key in result.all);
  const each = parts.map((key) => result.below(key, ['ip', 'gateway', 'routes']));
  return {
    interfaces: [],
    ips: each.map((part) => ({ address: readPrefix(part, 'ip'), gateway: readGateway(part) })),
    routes: each.flatMap((part) => readRoutes(part.all['routes'], part.path('routes'))),
  };
}

function readPrefix(fields: Fields, key: string): Prefix {
  const text = fields.string(key) ?? '';
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw badField(`${fields.path(key)} must be a CIDR address, and is "${text}"`);
  return prefix;
}

function readGateway(fields: Fields) {
  const text = fields.string('gateway') ?? '';
  const gateway = parseAddress(text);
  if (text !== '' && gateway === undefined) {
    throw badField(`${fields.path('gateway')} must be an IP address, and is "${text}"`);
  }
  return gateway;
}
