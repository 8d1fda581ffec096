import fs from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { type Binding, loadBinding } from '../../native/binding.ts';
import type { Backend } from '../backend/backend.ts';
import { makeBackend } from '../backend/backends.ts';
import { createCniService } from '../cni/launcher/service.ts';
import { runProcess } from '../firewall/process.ts';
import { groups, newerGroups } from '../kernel/groups.ts';
import { Announcements } from '../netlink/announcements.ts';
import { SyncSession } from '../netlink/session.ts';
import { openSocket } from '../netlink/socket.ts';
import { systemClock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { makeDirectory } from '../world/make-directory.ts';
import { systemRandom } from '../world/random.ts';
import { bootTraces, earliestBootTime } from './host/boot-time.ts';
import { dryRun } from './dry-run.ts';
import { installCniConf, readCniConf } from './files/cni-conf.ts';
import { openExtension } from './devices/extension.ts';
import { textOf } from './files/file.ts';
import { openFirewall } from './devices/firewall.ts';
import { serveHealth } from './report/health.ts';
import { observeHost, observeNodeRanges } from './host/host.ts';
import type { InterfaceWish } from './host/interface.ts';
import { chooseInterface } from './host/interface-choice.ts';
import { type Asked, type LeaseSource, openLeaseSource } from './leases/lease-source.ts';
import { hostPreparer, machineWorld, rulesOf } from './machine-world.ts';
import { metricsText } from './report/metrics.ts';
import { familiesOf, type NetworkConfig } from './network/network-config.ts';
import { nodeNameOf } from './host/node-name.ts';
import { preflight } from './preflight.ts';
import { FlannelNode } from './node.ts';
import type { NodeWorld } from './node-world.ts';
import type { Options } from './options/options.ts';
import { registryKind } from './options/registry-kind.ts';
import { notifier } from './report/sd-notify.ts';
import { returnSpareMemory } from './spare-memory.ts';
import { standAside } from './files/stand-aside.ts';
import { StateFile } from './files/state-file.ts';
import { type Status, statusFrame } from './report/status.ts';
import { previousSubnets } from './files/subnet-env.ts';
import { checkSubnetFilePlace } from './files/subnet-file-place.ts';
import { externalOf } from './host/surroundings.ts';
import { version } from './version.ts';
import { openWireguard } from './devices/wireguard.ts';

/** Addresses and attachments that nobody uses any more are looked for as often as this, in milliseconds. */
const sweepInterval = 60_000;
/** A dry run waits so long for a network configuration, in milliseconds. */
const dryPatience = 10_000;

/** A running flanneld. */
export interface Program {
  /** Resolves when pods can be served, or after {@link stop}. Rejects like startProgram. */
  readonly ready: Promise<void>;
  /** Ends it; the kernel, the lease and the subnet file stay. */
  stop(): Promise<void>;
}

/**
 * Starts everything; undefined when `signal` aborts before there is a network to start. Rejects with an Error whose message
 * is for the operator when that is not possible as things are.
 */
export async function startProgram(
  { options, sources }: Asked,
  environment: NodeJS.ProcessEnv,
  log: Log,
  signal: AbortSignal,
): Promise<Program | undefined> {
  const kind = registryKind(options, sources);
  const binding = loadBinding();
  const state: RunState = {};
  const waitingFor = () =>
    state.node?.waitingFor ?? [`the network configuration from the registry (${kind})`];
  const port = options['healthz-port'];
  const metrics = () => state.status && metricsText(state.status());
  const health = { waitingFor, metrics };
  const server = port === 0 ? undefined : await serveHealth(options['healthz-ip'], port, health);
  const source = await openLeaseSource(kind, { options, sources, environment, binding, log, signal });
  if (source === undefined) return undefined;
  if (source.network.config.backendType === 'none') {
    state.node = { waitingFor: [], lookAgain() {} };
    source.close();
    const notify = notifier(binding, environment['NOTIFY_SOCKET'], log);
    return standAside({ directory: options['cni-conf-dir'], log, notify, health: server });
  }
  return runNode({ options, sources, environment, log, binding, source, server, state });
}

interface RunInput extends Asked {
  readonly environment: NodeJS.ProcessEnv;
  readonly log: Log;
  readonly binding: Binding;
  readonly source: LeaseSource;
  readonly server: { close(): void } | undefined;
  readonly state: RunState;
}

/** For who asks how the node stands, from before there is one. */
interface RunState {
  node?: Pick<FlannelNode, 'waitingFor' | 'lookAgain'>;
  status?: () => Status;
}

async function runNode(input: RunInput): Promise<Program> {
  const { options, sources, environment, log, binding, source, server, state } = input;
  const { network } = source;
  const { config } = network;
  const notify = notifier(binding, environment['NOTIFY_SOCKET'], log);
  const session = new SyncSession(openSocket(binding));
  const { backend, ...outside } = lookAtNode({ options, sources, source, session, log });
  const registry = source.openRegistry(nodeName(options), () => state.node?.lookAgain());
  const announcements = new Announcements(openSocket(binding, { groups, newerGroups }), systemClock);
  const started = systemClock.monotonic();
  const stateDirectory = options['state-dir'];
  const wireguard = await openWireguard(backend, { binding, environment, stateDirectory, log });
  const firewall = openFirewall(binding, config.enableNFTables, environment, log);
  const inside = { options, network, binding, log, registry, session, announcements, firewall, wireguard };
  const extension = openExtension(config, { stateDirectory, environment, log });
  const world = { ...machineWorld({ ...inside, ...outside, environment, ready: () => ready() }), extension };
  const node = new FlannelNode(config, backend, world);
  state.node = node;
  makeDirectoryOf(options.socket);
  const cni = createCniService({
    binding,
    clock: systemClock,
    log,
    random: systemRandom,
    announcements,
    run: runProcess(environment),
    socketPath: options.socket,
    ipv6RouteMtu: () => node.ipv6RouteMtu,
    bootTime: earliestBootTime(() => bootTraces(systemClock.now())),
    handlers: new Map([[statusFrame, () => Promise.resolve(Buffer.from(JSON.stringify(status())))]]),
  });
  cni.listen();
  const sweep = () => void cni.sweep();
  const sweeping = setInterval(sweep, sweepInterval);
  sweep();

  const status = (): Status => ({
    version,
    node: nodeName(options),
    uptime: Math.round(systemClock.monotonic() - started),
    ...node.status(),
    ...source.status(),
    addresses: cni.usage(node.subnets),
  });
  state.status = status;
  const conflist = cniConf(options);
  const ready = () => {
    if (conflist !== undefined) installCniConf(conflist, options['cni-conf-dir'], log);
    log.info({ ms: Math.round(systemClock.monotonic() - started) }, 'ready: pods can be served');
    notify('READY=1', `STATUS=${node.subnets.join(' ')}`);
    returnSpareMemory(systemClock);
  };
  const stop = async () => {
    notify('STOPPING=1');
    clearInterval(sweeping);
    const stopped = node.stop();
    source.close();
    firewall.close();
    await cni.close();
    announcements.close();
    server?.close();
    session.close();
    wireguard?.close();
    await stopped;
  };
  return { ready: node.start(), stop };
}

/** `--adopt-dry-run`: what {@link startProgram} would change. Rejects as it does. */
export async function tryProgram(
  { options, sources }: Asked,
  environment: NodeJS.ProcessEnv,
  log: Log,
): Promise<string> {
  const kind = registryKind(options, sources);
  const binding = loadBinding();
  const signal = AbortSignal.timeout(dryPatience);
  const source = await openLeaseSource(kind, {
    options,
    sources,
    environment,
    binding,
    log,
    signal,
    dryRun: true,
  });
  if (source === undefined) {
    throw new Error('what would change cannot be told: there is no network configuration, see the warnings');
  }
  const { network } = source;
  const { config } = network;
  const session = new SyncSession(openSocket(binding));
  const { backend, ...outside } = lookAtNode({ options, sources, source, session, log });
  const stateDirectory = options['state-dir'];
  const wireguard = await openWireguard(backend, { binding, environment, stateDirectory, log, dryRun: true });
  const registry = source.openRegistry(nodeName(options));
  const announcements = new Announcements(openSocket(binding, { groups }), systemClock);
  const firewall = openFirewall(binding, config.enableNFTables, environment, log);
  const inside = { options, network, binding, log, registry, session, announcements, firewall };
  const input = { ...inside, ...outside, environment, wireguard };
  const file = options['subnet-file'];
  try {
    return await dryRun(config, backend, {
      ...machineWorld({ ...input, dryRun: true, ready() {} }),
      subnetFile: { name: file, text: textOf(file, log) },
      planHost: (external) => hostPreparer(input).plan(external),
      planFirewall: (networks, subnets) => firewall.plan(rulesOf({ options, network }, networks, subnets)),
    });
  } finally {
    source.close();
    firewall.close();
    announcements.close();
    session.close();
    wireguard?.close();
  }
}

interface NodeLook extends Asked {
  source: LeaseSource;
  session: SyncSession;
  log: Log;
}

/** Refuses what does not go together or with this node, before anything is touched; answers how to look at it later. */
function lookAtNode(asked: NodeLook): Pick<NodeWorld, 'chooseExternal' | 'previous'> & { backend: Backend } {
  const { options, source, session, log } = asked;
  const { network } = source;
  const { backend: written, backendType, network: pods } = network.config;
  const makeIt = () => makeBackend(backendType, { options: written, network: pods });
  const wish = interfaceWish(options, network.config);
  const chooseExternal = () =>
    externalOf(
      chooseInterface(observeHost(session, wish.ifaceCanReach), { ...wish, ...source.publicAddresses() }),
    );
  const previous = () => previousSubnets(textOf(options['subnet-file'], log) ?? '');
  preflight({
    ...asked,
    network,
    nodeRanges: observeNodeRanges(session),
    previous: Object.values(previous()),
    wasIn: (pods) => new StateFile(options['state-dir'], log).readIn(pods) !== undefined,
    needs: [
      makeIt,
      () => nodeName(options),
      chooseExternal,
      () => cniConf(options),
      () => checkSubnetFilePlace(asked),
    ],
  });
  return { backend: makeIt(), chooseExternal, previous };
}

function makeDirectoryOf(socket: string): void {
  try {
    makeDirectory(fs, path.dirname(socket), 0o755);
  } catch (error) {
    const why = (error as Error).message;
    throw new Error(`--socket=${socket}: its directory cannot be made: ${why}`, { cause: error });
  }
}

/** The list of plugins to install; undefined: somebody else does that. */
const cniConf = (options: Options): string | undefined =>
  options['flannel-cni-conf'] === '' ? undefined : readCniConf(options['flannel-cni-conf']);

const nodeName = (options: Options): string => nodeNameOf(options['node-name'], hostname());

function interfaceWish(options: Options, config: NetworkConfig): InterfaceWish {
  const { ipv4, ipv6 } = config.network;
  return {
    families: familiesOf(config),
    iface: options.iface,
    ifaceRegex: options['iface-regex'],
    ifaceCanReach: options['iface-can-reach'],
    nodeIPs: options['node-ip'],
    networks: [ipv4, ipv6].flatMap((network) => network ?? []),
    publicIP: options['public-ip'],
    publicIPv6: options['public-ipv6'],
  };
}
