import { foldKeys, type JsonObject } from '../../json/go-json.ts';
import type { Family } from '../../net/address.ts';
import { prefixFamily } from '../../net/prefix.ts';
import type { Sources } from '../options/configuration.ts';
import { type FlannelBackend, flannelBackend } from '../options/flannel-backend.ts';
import { k3sNetConf } from '../options/k3s-network.ts';
import { ConfigurationError, type NetworkConfig, networkConfigOf, networkFields } from './network-config.ts';
import type { OptionName, Options } from '../options/options.ts';

export interface NetworkInput {
  /** net-conf.json; undefined where there is none. */
  readonly file?: { readonly name: string; readonly text: string | Uint8Array } | undefined;
  readonly options: Options;
  readonly sources: Sources;
}

/** The network as the options and net-conf.json describe it together. */
export interface EffectiveNetwork {
  readonly config: NetworkConfig;
  /** Whose pods are hidden behind their node. */
  readonly masquerade: Readonly<Record<Family, boolean>>;
  /** What the operator should know, a sentence each. */
  readonly warnings: readonly string[];
}

/** K3s's options that say what the network is. With any of them it is K3s's, whose pods are hidden unless told otherwise. */
const describing: readonly OptionName[] = [
  'flannel-backend',
  'cluster-cidr',
  'service-cidr',
  'flannel-external-ip',
];

export const isK3s = (sources: Sources): boolean => describing.some((option) => sources.has(option));

/**
 * What net-conf.json leaves out is taken from the options; where there is no such file, K3s's takes its place. Throws a
 * {@link ConfigurationError} with every finding, also where an option and the file say different things.
 */
export function effectiveNetwork({ file, options, sources }: NetworkInput): EffectiveNetwork {
  const findings: string[] = [];
  const asked = askedBackend(options, sources, findings);
  const name = file?.name ?? 'the options';
  const fields = (): JsonObject =>
    file === undefined
      ? k3sNetConf({
          clusterCidr: options['cluster-cidr'],
          nodeIPs: options['node-ip'],
          backend: asked?.backend ?? { Type: 'vxlan' },
        })
      : { ...fromOptions(options, asked), ...networkFields(file.text, file.name) };
  const config = orFindings(() => networkConfigOf(fields(), name), findings);
  if (config !== undefined && file !== undefined) {
    findings.push(...contradictions(config, { options, sources, asked, file: file.name }));
  }
  if (config === undefined || findings.length > 0) throw new ConfigurationError(undefined, findings);
  return { config, masquerade: masqueraded(options, sources), warnings: asked?.warnings ?? [] };
}

function askedBackend(
  options: Options,
  sources: Sources,
  findings: string[],
): (FlannelBackend & { readonly source: string }) | undefined {
  const source = sources.get('flannel-backend');
  const text = options['flannel-backend'];
  if (source === undefined || text === '') return undefined;
  const read = flannelBackend(text);
  if (typeof read !== 'string') {
    return { ...read, source, warnings: read.warnings.map((warning) => `${source}: ${warning}`) };
  }
  findings.push(`${source}: ${read}`);
  return undefined;
}

/** For a file that does not say all. */
function fromOptions(options: Options, asked: FlannelBackend | undefined): JsonObject {
  const ranges = options['cluster-cidr'];
  const ipv4 = ranges.find((range) => prefixFamily(range) === 4);
  const ipv6 = ranges.find((range) => prefixFamily(range) === 6);
  return {
    ...(ipv4 && { Network: ipv4 }),
    ...(ipv6 && { IPv6Network: ipv6, EnableIPv6: true, ...(!ipv4 && { EnableIPv4: false }) }),
    ...(asked && { Backend: asked.backend }),
  };
}

interface Compared {
  readonly options: Options;
  readonly sources: Sources;
  readonly asked: (FlannelBackend & { readonly source: string }) | undefined;
  readonly file: string;
}

function contradictions(config: NetworkConfig, { options, sources, asked, file }: Compared): string[] {
  const both = (source: string, said: unknown, key: string, other: unknown) =>
    `${source} says ${String(said)}, ${file}: ${key} says ${String(other)}: they mean the same, change one or leave it out`;
  const source = sources.get('cluster-cidr');
  const networks = [
    [4, 'Network', config.network.ipv4],
    [6, 'IPv6Network', config.network.ipv6],
  ] as const;
  const ranges = networks.flatMap(([family, key, network]) => {
    const range = options['cluster-cidr'].find((each) => prefixFamily(each) === family);
    if (source === undefined || range === network) return [];
    return [both(source, range ?? `no IPv${family}`, key, network ?? `no IPv${family}`)];
  });
  const backend = foldKeys(config.backend, asked?.asked ?? []);
  const keys = (asked?.asked ?? []).flatMap((key) => {
    const [said, other] = [asked?.backend[key], key === 'Type' ? config.backendType : backend[key]];
    return asked === undefined || said === other
      ? []
      : [both(asked.source, said, `Backend.${key}`, other ?? 'nothing')];
  });
  return [...ranges, ...keys];
}

/** Go flannel's --ip-masq is off, and is for both families; K3s's masquerade is on, and for IPv4 alone. What is given counts. */
function masqueraded(options: Options, sources: Sources): Record<Family, boolean> {
  const asked = sources.has('ip-masq') ? options['ip-masq'] : isK3s(sources);
  const ipv6 = sources.has('ipv6-masq') ? options['ipv6-masq'] : sources.has('ip-masq') || !isK3s(sources);
  return { 4: asked, 6: asked && ipv6 };
}

function orFindings<T>(read: () => T, findings: string[]): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    findings.push(...error.message.split('\n'));
    return undefined;
  }
}
