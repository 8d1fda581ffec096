import type { External } from '../backend/backend.ts';
import type { Reconciler } from '../kernel/reconciler.ts';
import type { LastKnown } from '../lease/last-known.ts';
import type { LeaseAttributes } from '../lease/lease.ts';
import type { Registry } from '../lease/registry.ts';
import type { Prefix } from '../net/prefix.ts';
import type { RouteNotification } from '../netlink/route/notification.ts';
import type { SyncSession } from '../netlink/session.ts';
import type { Subscription } from '../netlink/subscription.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import type { Extension } from './devices/extension.ts';
import type { SubnetEnv } from './files/subnet-env.ts';
import type { Wireguard } from './devices/wireguard.ts';

/** Everything outside that a node needs, passed in. */
export interface NodeWorld extends NodeEffects {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  /** NETLINK_ROUTE in the node's namespace, for short questions. */
  readonly session: SyncSession;
  readonly reconciler: Reconciler;
  /** Announcements of interfaces, addresses and default routes. */
  subscribe(onMessage: (message: RouteNotification) => void, onLost: (why: Error) => void): Subscription;
  /** Not only default routes decide which interface it is. */
  readonly anyRoute?: boolean;
  readonly registry: Registry;
  /** For the backend that needs it. */
  readonly wireguard?: Pick<Wireguard, 'identity' | 'status'>;
  /** The interface for traffic between nodes, as it is now. Throws an InterfaceError. */
  chooseExternal(): External;
  /** What peers are told instead of its public addresses; this node's own devices know nothing of it. */
  readonly announced?: Pick<LeaseAttributes, 'publicIP' | 'publicIPv6'>;
  previous(): { readonly subnet?: Prefix; readonly ipv6Subnet?: Prefix };
  lastKnown(): LastKnown | undefined;
  /** Why the firewall rules are not in place. */
  firewallProblem(): string | undefined;
  /** `--ip-masq`. */
  readonly ipMasq: boolean;
  /** `--ip-blackhole-route`. */
  readonly blackhole: boolean;
  /** `--nexthop-objects`. */
  readonly nexthops: boolean;
}

/** What a node does to its machine, beside what the reconciler and the registry do. */
export interface NodeEffects {
  saveLastKnown(state: LastKnown): void;
  /** Makes the host forward, and tells what stands in the way; rejects only when the host cannot be looked at. */
  prepareHost(external: External): Promise<void>;
  /** Puts the node-wide firewall rules in place and keeps them; resolves after the first try. */
  keepFirewall(networks: readonly Prefix[], subnets: readonly Prefix[]): Promise<void>;
  writeSubnetEnv(env: SubnetEnv): void;
  /** Runs the commands of the extension backend. */
  readonly extension?: Extension | undefined;
  /** Once, when pods can be served. */
  ready(): void;
}
