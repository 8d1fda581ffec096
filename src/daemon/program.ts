import fs, { mkdirSync, readFileSync } from 'node:fs';
import { hostname, uptime } from 'node:os';
import path from 'node:path';
import { type Binding, loadBinding } from '../../native/binding.ts';
import { makeBackend } from '../backend/backends.ts';
import { type CniService, createCniService } from '../cni/service.ts';
import type { NodeFirewall } from '../firewall/node-firewall.ts';
import { runProcess } from '../firewall/process.ts';
import { groups } from '../kernel/groups.ts';
import { Reconciler } from '../kernel/reconciler.ts';
import { DirectoryRegistry } from '../lease/directory.ts';
import { type LastKnown, lastKnownText, parseLastKnown } from '../lease/last-known.ts';
import { Announcements } from '../netlink/announcements.ts';
import { AsyncSession, SyncSession } from '../netlink/session.ts';
import { openSocket } from '../netlink/socket.ts';
import { systemClock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { systemRandom } from '../world/random.ts';
import { writeWhole } from './file.ts';
import { openFirewall } from './firewall.ts';
import { serveHealth } from './health.ts';
import { observeHost } from './host.ts';
import { chooseInterface } from './interface-choice.ts';
import { ConfigurationError, type NetworkConfig, readNetworkConfig } from './network-config.ts';
import { FlannelNode, type NodeWorld } from './node.ts';
import type { Options } from './options.ts';
import { notifier } from './sd-notify.ts';
import { type Status, statusFrame } from './status.ts';
import { previousSubnets, writeSubnetEnv } from './subnet-env.ts';
import { externalOf } from './surroundings.ts';
import { version } from './version.ts';
import { openWireguard, type Wireguard } from './wireguard.ts';

/** Addresses and attachments that nobody uses any more are looked for as often as this, in milliseconds. */
const sweepInterval = 60_000;

/** A running flanneld. */
export interface Program {
  /** Resolves when pods can be served, or after {@link stop}. Rejects like startProgram. */
  readonly ready: Promise<void>;
  /** Ends it; the kernel, the lease and the subnet file stay. */
  stop(): void;
}

/** Starts everything. Rejects with an Error whose message is for the operator when that is not possible as things are. */
export async function startProgram(
  options: Options,
  environment: NodeJS.ProcessEnv,
  log: Log,
): Promise<Program> {
  const config = readConfig(options['net-config-path']);
  const backend = makeBackend(config.backendType, {
    options: config.backend,
    network: config.network,
  });
  const binding = loadBinding();
  const notify = notifier(binding, environment['NOTIFY_SOCKET'], log);
  const registry = openRegistry(options, config, binding);
  const session = new SyncSession(openSocket(binding));
  const announcements = new Announcements(openSocket(binding, { groups }));
  const started = systemClock.monotonic();
  const state: { node?: FlannelNode; cni?: CniService } = {};
  const health = { broken: () => [], waitingFor: () => state.node?.waitingFor ?? ['its start'] };
  const stateDirectory = options['state-dir'];
  const wireguard = await openWireguard(backend, { binding, environment, stateDirectory, log });
  const port = options['healthz-port'];
  const server = port === 0 ? undefined : await serveHealth(options['healthz-ip'], port, health);

  const firewall = openFirewall(binding, config.enableNFTables, environment, log);
  const input = { options, config, binding, log, registry, session, announcements, firewall, wireguard };
  const world = nodeWorld({ ...input, ready: () => ready() });
  const node = new FlannelNode(config, backend, world);
  state.node = node;
  mkdirSync(path.dirname(options.socket), { recursive: true, mode: 0o755 });
  const cni = createCniService({
    binding,
    clock: systemClock,
    log,
    random: systemRandom,
    announcements,
    run: runProcess(environment),
    socketPath: options.socket,
    ipv6RouteMtu: () => node.ipv6RouteMtu,
    bootTime: systemClock.now() - uptime() * 1000,
    handlers: new Map([[statusFrame, () => Promise.resolve(Buffer.from(JSON.stringify(status())))]]),
  });
  state.cni = cni;
  cni.listen();
  const sweep = () => void cni.sweep();
  const sweeping = setInterval(sweep, sweepInterval);
  sweep();

  const status = (): Status => ({
    version,
    node: nodeName(options),
    uptime: Math.round(systemClock.monotonic() - started),
    ...node.status(),
    addresses: cni.usage(node.subnets),
  });
  const ready = () => {
    log.info({ ms: Math.round(systemClock.monotonic() - started) }, 'ready: pods can be served');
    notify('READY=1', `STATUS=${node.subnets.join(' ')}`);
  };
  const stop = () => {
    notify('STOPPING=1');
    clearInterval(sweeping);
    node.stop();
    firewall.close();
    cni.close();
    announcements.close();
    server?.close();
    session.close();
    wireguard?.close();
  };
  return { ready: node.start(), stop };
}

function readConfig(file: string): NetworkConfig {
  try {
    return readNetworkConfig(readFileSync(file), file);
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    throw new ConfigurationError(file, [
      `it cannot be read: ${(error as Error).message}; --net-config-path names another file`,
    ]);
  }
}

function openRegistry(options: Options, config: NetworkConfig, binding: Binding): DirectoryRegistry {
  const directory = options['lease-dir'];
  if (directory === '') {
    throw new Error('--lease-dir is missing: name the directory in which the nodes keep their leases');
  }
  return new DirectoryRegistry({
    directory: path.resolve(directory),
    node: nodeName(options),
    ranges: config.ranges,
    files: fs,
    flock: (fd, operation) => binding.flock(fd, operation),
    clock: systemClock,
  });
}

const nodeName = (options: Options): string => (options['node-name'] || hostname()).toLowerCase();

interface WorldInput {
  options: Options;
  config: NetworkConfig;
  binding: Binding;
  log: Log;
  registry: DirectoryRegistry;
  session: SyncSession;
  announcements: Announcements;
  firewall: NodeFirewall;
  wireguard: Wireguard | undefined;
  ready(): void;
}

function nodeWorld(input: WorldInput): NodeWorld {
  const { options, config, binding, log, registry, session, announcements, firewall, wireguard, ready } =
    input;
  const stateFile = path.join(options['state-dir'], 'state.json');
  const wish = {
    families: [...(config.network.ipv4 ? [4 as const] : []), ...(config.network.ipv6 ? [6 as const] : [])],
    iface: options.iface,
    ifaceRegex: options['iface-regex'],
    ifaceCanReach: options['iface-can-reach'],
    nodeIPs: options['node-ip'],
    networks: [config.network.ipv4, config.network.ipv6].flatMap((network) => network ?? []),
    publicIP: options['public-ip'],
    publicIPv6: options['public-ipv6'],
  };
  return {
    clock: systemClock,
    log,
    random: systemRandom,
    session,
    reconciler: new Reconciler({
      session: new AsyncSession(openSocket(binding), systemClock),
      subscribe: (onMessage, onLost) => announcements.subscribe(onMessage, onLost),
      ...(wireguard && { tunnels: wireguard.tunnels }),
      clock: systemClock,
      log,
    }),
    subscribe: (onMessage, onLost) => announcements.subscribe(onMessage, onLost),
    anyRoute: wish.ifaceCanReach !== undefined,
    registry,
    chooseExternal: () => externalOf(chooseInterface(observeHost(session, wish.ifaceCanReach), wish)),
    previous: () => previousSubnets(textOf(options['subnet-file'], log) ?? ''),
    lastKnown: () => readLastKnown(stateFile, log),
    saveLastKnown: (state: LastKnown) =>
      writeWhole(stateFile, lastKnownText(state), { file: 0o600, directory: 0o700 }),
    keepFirewall: (networks, subnets) =>
      firewall.keep({
        masquerade: { 4: options['ip-masq'], 6: options['ip-masq'] && options['ipv6-masq'] },
        forward: options['iptables-forward-rules'],
        randomFully: !options['ip-masq-fully-random-disable'],
        networks,
        subnets,
      }),
    firewallProblem: () => firewall.problem,
    ipMasq: options['ip-masq'],
    blackhole: options['ip-blackhole-route'],
    writeSubnetEnv: (env) => writeSubnetEnv(options['subnet-file'], env),
    ready,
  };
}

function readLastKnown(file: string, log: Log): LastKnown | undefined {
  const text = textOf(file, log);
  if (text === undefined) return undefined;
  try {
    return parseLastKnown(text, file);
  } catch (error) {
    log.warn({ file }, `the last known state is of no use and is left out: ${(error as Error).message}`);
    return undefined;
  }
}

/** A file that is there and cannot be read is as good as none; it is told. */
function textOf(file: string, log: Log): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    log.warn({ file }, `${file} cannot be read and is left out: ${(error as Error).message}`);
    return undefined;
  }
}
