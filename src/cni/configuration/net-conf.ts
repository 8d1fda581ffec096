import path from 'node:path';
import type { JsonObject } from '../../json/go-json.ts';
import { Fields } from './fields.ts';

const defaultSubnetFile = '/run/flannel/subnet.env';
export const defaultDataDir = '/var/lib/cni/flannel';

/** The flannel plugin's own configuration, with its defaults. */
export interface NetConf {
  readonly name: string;
  /** As the version check found it: 0.1.0 where there is none. */
  readonly cniVersion: string;
  /** What flanneld wrote: the node's subnet. */
  readonly subnetFile: string;
  /** Where the state files are, one for each container. */
  readonly dataDir: string;
  /** What the delegate's configuration begins with. */
  readonly delegate: JsonObject;
  /** What the delegate's `ipam` begins with. */
  readonly ipam: JsonObject;
  readonly runtimeConfig?: JsonObject | undefined;
  readonly args?: JsonObject | undefined;
}

const keys = ['subnetFile', 'dataDir', 'delegate', 'ipam', 'runtimeConfig', 'args'];

/** Reads what a request brought. Throws a CniError that names the key. */
export function readNetConf(document: JsonObject, name: string, cniVersion: string): NetConf {
  const fields = new Fields(document, '', keys);
  const optional = (key: string) => (key in fields.all ? fields.below(key, []).all : undefined);
  return {
    name,
    cniVersion,
    subnetFile: fields.file('subnetFile') ?? defaultSubnetFile,
    dataDir: fields.file('dataDir') ?? defaultDataDir,
    delegate: fields.below('delegate', delegateKeys).all,
    ipam: fields.below('ipam', ['type', 'dataDir', 'ranges', 'routes']).all,
    runtimeConfig: optional('runtimeConfig'),
    args: optional('args'),
  };
}

/**
 * `dataDir` alone: what a DEL needs even when the rest cannot be used. A relative one is no ADD's any more, but Go's flannel takes
 * it, and container runtimes work in `/`.
 */
export const dataDirOf = (document: JsonObject): string =>
  path.resolve('/', new Fields(document, '', keys).string('dataDir') || defaultDataDir);

/** The keys of `delegate` that flannel itself looks at. */
const delegateKeys = [
  'type',
  'name',
  'ipam',
  'ipMasq',
  'ipMasqBackend',
  'mtu',
  'isGateway',
  'cniVersion',
  'runtimeConfig',
  'args',
];
