import type { RangeConfiguration } from '../../ipam/range.ts';
import { parseRangeSets, parseRequested } from '../../ipam/range-set.ts';
import type { CniArgs } from './cni-args.ts';
import type { Delegated } from './delegated.ts';
import { badField, Fields } from './fields.ts';
import { defaultIpamDataDir } from './recorded-delegate.ts';
import { readRoutes } from './routes.ts';

const rangeKeys = ['subnet', 'rangeStart', 'rangeEnd', 'gateway'];
const keys = ['type', 'dataDir', 'ranges', 'routes', 'resolvConf', ...rangeKeys];

/** The `ipam` of a delegate that is done inside. Throws a CniError or, in host-local's words, an IpamError. */
export function readHostLocal(delegate: Fields, args: CniArgs, cniVersion: string): Delegated['ipam'] {
  // That is where it stands in the network configuration: beside `delegate`.
  const ipam = new Fields(delegate.all['ipam'], 'ipam', keys);
  const runtime = delegate.below('runtimeConfig', ['ipRanges', 'ips']);
  const argsCni = delegate.below('args', ['cni']).below('cni', ['ips']);
  return {
    dataDir: ipam.file('dataDir') ?? defaultIpamDataDir,
    sets: parseRangeSets({
      ipRanges: readRanges(runtime, 'ipRanges'),
      single: readRange(ipam),
      ranges: readRanges(ipam, 'ranges'),
      cniVersion,
    }),
    requested: parseRequested(args.ip, argsCni.strings('ips'), runtime.strings('ips')),
    routes: readRoutes(ipam.all['routes'], ipam.path('routes')),
    resolvConf: ipam.file('resolvConf'),
  };
}

function readRanges(fields: Fields, key: string): RangeConfiguration[][] {
  return (fields.list(key) ?? []).map((set, i) => {
    const where = `${fields.path(key)}[${i}]`;
    if (!Array.isArray(set)) throw badField(`${where} must be a list of ranges`);
    return set.map((range, j) => readRange(new Fields(range, `${where}[${j}]`, rangeKeys)));
  });
}

function readRange(fields: Fields): RangeConfiguration {
  return {
    subnet: fields.string('subnet') || undefined,
    rangeStart: fields.string('rangeStart'),
    rangeEnd: fields.string('rangeEnd'),
    gateway: fields.string('gateway'),
  };
}
