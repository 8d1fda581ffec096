import fs, { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Binding } from '../../../native/binding.ts';
import { DirectoryRegistry } from '../../lease/directory.ts';
import { EtcdRegistry } from '../../lease/etcd/etcd.ts';
import { KeySpace } from '../../lease/etcd/key-space.ts';
import { annotationKeys } from '../../lease/kubernetes/annotations.ts';
import { KubernetesRegistry } from '../../lease/kubernetes/kubernetes.ts';
import type { PublicAddresses } from '../../lease/kubernetes/node-lease.ts';
import type { Registry } from '../../lease/registry.ts';
import { systemClock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import { systemRandom } from '../../world/random.ts';
import { readRegularFile } from '../../world/regular-file.ts';
import { ConfigInUse } from '../network/config-in-use.ts';
import type { Environment, Sources } from '../options/configuration.ts';
import {
  effectiveNetwork,
  type EffectiveNetwork,
  isK3s,
  type NetworkInput,
} from '../network/effective-network.ts';
import { openEtcd } from './etcd-access.ts';
import { textOf, writeWhole } from '../files/file.ts';
import { kubernetesAccess, kubernetesNode } from './kubernetes-access.ts';
import { followNetConf } from '../network/net-conf-file.ts';
import { ConfigurationError } from '../network/network-config.ts';
import type { Options } from '../options/options.ts';
import type { RegistryKind } from '../options/registry-kind.ts';
import { StateFile } from '../files/state-file.ts';
import type { Status } from '../report/status.ts';
import { StoredConfig } from '../network/stored-config.ts';

/** What was asked for, and by which flags. */
export interface Asked {
  readonly options: Options;
  readonly sources: Sources;
}

/** Where a node's network configuration and its leases come from. */
export interface LeaseSource {
  readonly network: EffectiveNetwork;
  /** `onPublicAddresses` is called when {@link publicAddresses} has another answer than before. */
  openRegistry(nodeName: string, onPublicAddresses?: () => void): Registry;
  /** What stands there in place of `--public-ip` and `--public-ipv6`. */
  publicAddresses(): PublicAddresses;
  status(): Pick<Status, 'configuration'>;
  close(): void;
}

interface LeaseSourceInput extends Asked {
  readonly environment: Environment;
  readonly binding: Binding;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Nothing is written. */
  readonly dryRun?: boolean;
}

/**
 * Finds it. With etcd that waits for a network configuration: undefined when `signal` aborts before. Rejects with an Error
 * for the operator.
 */
export async function openLeaseSource(
  kind: RegistryKind,
  input: LeaseSourceInput,
): Promise<LeaseSource | undefined> {
  switch (kind) {
    case 'etcd':
      return sourceInEtcd(input);
    case 'kubernetes':
      return sourceInKubernetes(input);
    case 'directory':
      return sourceInDirectory(input);
  }
}

function sourceInDirectory(input: LeaseSourceInput): LeaseSource {
  const { options, binding, log } = input;
  const fromFile = networkInFile(input);
  const { network } = fromFile;
  const stateFile = new StateFile(options['state-dir'], log);
  const knowsPeers = () => (stateFile.readIn(network.config.network)?.peers.length ?? 0) > 0;
  const openRegistry = (node: string) =>
    new DirectoryRegistry({
      directory: path.resolve(options['lease-dir']),
      node,
      ranges: network.config.ranges,
      files: fs,
      flock: (fd, operation) => binding.flock(fd, operation),
      clock: systemClock,
      random: systemRandom,
      log,
      knowsPeers,
    });
  return { ...fromFile, openRegistry, publicAddresses: () => ({}) };
}

async function sourceInKubernetes(input: LeaseSourceInput): Promise<LeaseSource> {
  const { options, environment } = input;
  const fromFile = networkInFile(input);
  const { network } = fromFile;
  const readFile = (file: string) => readFileSync(file, 'utf8');
  const world = {
    access: await kubernetesAccess(options, environment, readFile),
    annotations: annotationKeys(options['kube-annotation-prefix']),
    network: network.config.network,
    setNetworkUnavailable: options['set-node-network-unavailable'],
    readFile,
    clock: systemClock,
    random: systemRandom,
  };
  let registry: KubernetesRegistry | undefined;
  return {
    network,
    openRegistry(hostName, onPublicAddresses = () => {}) {
      const node = kubernetesNode(options['node-name'], environment, hostName);
      registry = new KubernetesRegistry({ ...world, node, onPublicAddresses });
      return registry;
    },
    publicAddresses: () => registry?.publicAddresses ?? {},
    status: fromFile.status,
    close() {
      fromFile.close();
      registry?.close();
    },
  };
}

async function sourceInEtcd(input: LeaseSourceInput): Promise<LeaseSource | undefined> {
  const { options, sources, log, signal, dryRun = false } = input;
  const keys = new KeySpace(options['etcd-prefix']);
  const world = { store: openEtcd(options), keys, clock: systemClock, random: systemRandom, log };
  const copy = path.join(options['state-dir'], 'etcd-config.json');
  const stored = new StoredConfig({
    ...world,
    isDefault: !sources.has('etcd-endpoints'),
    parse: (file) => effectiveNetwork({ file, options, sources }),
    readCopy: () => textOf(copy, log),
    writeCopy(text) {
      if (!dryRun) writeWhole(copy, text, { file: 0o600, directory: 0o700 });
    },
  });
  const network = await stored.read(signal);
  if (network === undefined) return undefined;
  stored.follow();
  const renewMargin = options['subnet-lease-renew-margin'];
  const registry = new EtcdRegistry({ ...world, ranges: network.config.ranges, renewMargin });
  return {
    network,
    openRegistry: () => registry,
    publicAddresses: () => ({}),
    status: () => (stored.difference === undefined ? {} : { configuration: stored.difference }),
    close() {
      stored.close();
      registry.close();
      world.store.gateway.close();
    },
  };
}

/** What the file says, or K3s's options in its place, and how to see whether it still says so. */
function networkInFile({
  options,
  sources,
  log,
}: LeaseSourceInput): Pick<LeaseSource, 'network' | 'status' | 'close'> {
  const file = netConf(options, sources);
  const network = effectiveNetwork({ file, options, sources });
  if (file === undefined) return { network, status: () => ({}), close() {} };
  const { name, text } = file;
  const inUse = new ConfigInUse({
    place: name,
    text: text.toString(),
    parse: (other) => effectiveNetwork({ file: { name, text: other }, options, sources }),
    log,
  });
  const close = followNetConf({ inUse, read: () => readRegularFile(name), clock: systemClock });
  const status = () => (inUse.difference === undefined ? {} : { configuration: inUse.difference });
  return { network, status, close };
}

/** net-conf.json. Where K3s's options say what the network is, it need not be there. */
function netConf(options: Options, sources: Sources): NetworkInput['file'] {
  const name = options['net-config-path'];
  try {
    return { name, text: readFileSync(name) };
  } catch (error) {
    const isAbsent = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (isAbsent && isK3s(sources) && !sources.has('net-config-path')) return undefined;
    throw new ConfigurationError(name, [
      `it cannot be read: ${(error as Error).message}; --net-config-path names another file, ` +
        'or --cluster-cidr and --flannel-backend stand for it',
    ]);
  }
}
