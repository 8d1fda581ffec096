import { type ParityCase, subnetEnv } from './cases.ts';

type Json = Record<string, unknown>;

/** Where a run keeps its files: nothing of the machine's own is touched. */
export interface Places {
  readonly subnetFile: string;
  readonly stateDir: string;
  readonly networks: string;
  readonly directory: string;
}

/** The configuration that the flannel plugin is given. */
export function flannelConfiguration(given: ParityCase, places: Places): Json {
  const shipped = { hairpinMode: true, isDefaultGateway: true };
  return {
    cniVersion: given.cniVersion ?? '1.0.0',
    name: 'cbr0',
    type: 'flannel',
    subnetFile: places.subnetFile,
    dataDir: places.stateDir,
    ...(given.delegate === null ? {} : { delegate: { ...shipped, ...given.delegate } }),
    ipam: ipam(given, places),
    ...(given.runtimeConfig === undefined ? {} : { runtimeConfig: given.runtimeConfig }),
    ...(given.args === undefined ? {} : { args: given.args }),
  };
}

/** The configuration that Go flannel's plugin makes of it for the bridge plugin. */
export function delegateConfiguration(given: ParityCase, places: Places): Json {
  const { cniVersion, name, delegate, runtimeConfig } = flannelConfiguration(given, places);
  const env = subnetEnv(given);
  const networks = ['FLANNEL_NETWORK', 'FLANNEL_IPV6_NETWORK'].flatMap((key) => env[key]?.split(',') ?? []);
  const subnets = ['FLANNEL_SUBNET', 'FLANNEL_IPV6_SUBNET'].flatMap((key) => env[key] ?? []);
  const base = ipam(given, places);
  return {
    isGateway: true,
    ipMasq: env['FLANNEL_IPMASQ'] !== 'true',
    mtu: Number(env['FLANNEL_MTU']),
    type: 'bridge',
    ...(delegate as Json | undefined),
    ...(runtimeConfig === undefined ? {} : { runtimeConfig }),
    name,
    cniVersion,
    ipam: {
      type: 'host-local',
      ...base,
      ranges: subnets.map((subnet) => [
        { subnet: subnet.replace(/1\/(\d+)$/, subnet.includes(':') ? '/$1' : '0/$1') },
      ]),
      routes: [...((base['routes'] as Json[] | undefined) ?? []), ...networks.map((dst) => ({ dst }))],
    },
  };
}

/** A path that begins with @ lies in the run's directory. */
function ipam(given: ParityCase, places: Places): Json {
  const text = JSON.stringify({ ...given.ipam, dataDir: places.networks });
  return JSON.parse(text.replaceAll('"@', `"${places.directory}/`)) as Json;
}
