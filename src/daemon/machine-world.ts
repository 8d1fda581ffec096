import type { Binding } from '../../native/binding.ts';
import type { NodeFirewall } from '../firewall/node-firewall.ts';
import type { NodeRulesInput } from '../firewall/node-rules.ts';
import { runProcess, withLimit } from '../firewall/process.ts';
import { Reconciler } from '../kernel/reconciler.ts';
import type { Registry } from '../lease/registry.ts';
import type { Announcements } from '../netlink/announcements.ts';
import { isNetlinkError } from '../netlink/error.ts';
import { getNexthops } from '../netlink/route/nexthop.ts';
import { AsyncSession, type SyncSession } from '../netlink/session.ts';
import { openSocket } from '../netlink/socket.ts';
import type { Prefix } from '../net/prefix.ts';
import { systemClock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { systemRandom } from '../world/random.ts';
import type { EffectiveNetwork } from './network/effective-network.ts';
import { HostPreparer } from './host/host-preparer.ts';
import { announcedAddresses } from './leases/announced-addresses.ts';
import { familiesOf } from './network/network-config.ts';
import type { NodeWorld } from './node-world.ts';
import type { Options } from './options/options.ts';
import { refuseAdvertisements } from './host/router-advertisements.ts';
import { StateFile } from './files/state-file.ts';
import { writeSubnetEnv } from './files/subnet-env.ts';
import type { Wireguard } from './devices/wireguard.ts';

/** Readiness waits so long for a kernel module at most, in milliseconds. */
const modprobeLimit = 10_000;

interface MachineWorldInput extends Pick<NodeWorld, 'chooseExternal' | 'previous' | 'ready'> {
  options: Options;
  network: EffectiveNetwork;
  binding: Binding;
  log: Log;
  registry: Registry;
  session: SyncSession;
  announcements: Announcements;
  firewall: NodeFirewall;
  environment: NodeJS.ProcessEnv;
  wireguard: Wireguard | undefined;
  /** The reconciler only looks. */
  dryRun?: boolean;
}

/** The node's world as it is on this machine. */
export function machineWorld(input: MachineWorldInput): NodeWorld {
  const { options, network, binding, log, registry, session, announcements, firewall, wireguard } = input;
  const stateFile = new StateFile(options['state-dir'], log);
  const preparer = hostPreparer(input);
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
      onLink: (name) => refuseAdvertisements(name, log),
      dryRun: input.dryRun === true,
    }),
    subscribe: (onMessage, onLost) => announcements.subscribe(onMessage, onLost),
    anyRoute: options['iface-can-reach'] !== undefined,
    registry,
    ...(wireguard && { wireguard }),
    chooseExternal: input.chooseExternal,
    announced: announcedAddresses(options),
    previous: input.previous,
    lastKnown: () => stateFile.read(),
    saveLastKnown: (state) => stateFile.write(state),
    prepareHost: ({ name }) => preparer.ensure(name),
    keepFirewall: (networks, subnets) => firewall.keep(rulesOf(input, networks, subnets)),
    firewallProblem: () => firewall.problem,
    ipMasq: network.masquerade[4] || network.masquerade[6],
    blackhole: options['ip-blackhole-route'],
    nexthops: options['nexthop-objects'] && hasNexthops(session, log),
    writeSubnetEnv: (env) => writeSubnetEnv(options['subnet-file'], env),
    ready: input.ready,
  };
}

/** Linux before 5.3 has no next-hop objects. */
function hasNexthops(session: Pick<SyncSession, 'dump'>, log: Log): boolean {
  try {
    session.dump(getNexthops());
    return true;
  } catch (error) {
    if (!isNetlinkError(error, 'EOPNOTSUPP')) throw error;
    log.warn(
      {},
      'the kernel has no next-hop objects (Linux 5.3 brought them): --nexthop-objects is left out',
    );
    return false;
  }
}

/** Also for a dry run, which asks what it would do. */
export const hostPreparer = ({
  options,
  network,
  session,
  environment,
  log,
}: Omit<MachineWorldInput, 'ready'>) =>
  new HostPreparer({
    families: familiesOf(network.config),
    manageAcceptRa: options['manage-accept-ra'],
    session,
    run: withLimit(runProcess(environment), systemClock, modprobeLimit),
    log,
  });

/** Of the node's firewall, as the options want them. */
export const rulesOf = (
  { options, network }: Pick<MachineWorldInput, 'options' | 'network'>,
  networks: readonly Prefix[],
  subnets: readonly Prefix[],
): NodeRulesInput => ({
  masquerade: network.masquerade,
  forward: options['iptables-forward-rules'],
  randomFully: !options['ip-masq-fully-random-disable'],
  networks,
  subnets,
});
