import fs from 'node:fs';
import type { Binding } from '../../../native/binding.ts';
import { chooseBackend, tryBackend } from '../../firewall/masquerade.ts';
import type { MasqueradeBackend } from '../../firewall/pod-masquerade.ts';
import type { Run } from '../../firewall/process.ts';
import type { Usage } from '../../ipam/usage.ts';
import type { Prefix } from '../../net/prefix.ts';
import type { Announcements } from '../../netlink/announcements.ts';
import { LinkRemover } from '../../netlink/link-removal.ts';
import { AsyncSession, SyncSession } from '../../netlink/session.ts';
import { openSocket } from '../../netlink/socket.ts';
import { type Clock, waitAtMost } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { Random } from '../../world/random.ts';
import { Bridges } from '../attachment/bridges.ts';
import { defaultDataDir } from '../configuration/net-conf.ts';
import { machineFiles } from '../records/files.ts';
import { Forwarding } from '../attachment/forwarding.ts';
import { ownNamespace } from '../own-namespace.ts';
import { serve } from '../serve.ts';
import { CniServer, drainLimit } from './server.ts';
import { Stores } from '../records/stores.ts';
import { type Swept, sweep } from '../records/sweep.ts';
import { NotMine, type World } from '../world.ts';

export interface CniServiceOptions {
  readonly binding: Binding;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  /** Of the node's links and addresses. */
  readonly announcements: Pick<Announcements, 'subscribe' | 'read' | 'promptly'>;
  /** Starts iptables and nft, for networks with `ipMasq`. */
  readonly run: Run;
  /** `/run/flannel/flanneld.sock`; its directory must exist. */
  readonly socketPath: string;
  /** The MTU of what carries IPv6 to other nodes, where it is smaller than the pods' (vxlan: theirs less 20). */
  ipv6RouteMtu(): number | undefined;
  /** When this boot began, in milliseconds since the epoch: see Sighting in src/ipam/sweep.ts. */
  bootTime(): number;
  /** Answers frames of types from 32 on, for cni-tool. */
  readonly handlers?: ReadonlyMap<number, (payload: Buffer) => Promise<Uint8Array>>;
}

/** How full one network is on this node. */
export interface NetworkUsage {
  readonly network: string;
  /** One for each subnet, in their order. */
  readonly usage: readonly Usage[];
}

/** The CNI verbs, warm: what flanneld keeps for the life of the node. */
export interface CniService {
  /** Takes requests from now on. Throws an Error when the socket cannot be had. */
  listen(): void;
  /**
   * Takes no more requests, and removes the socket; resolves when those that were there are done, and a sweep, or have had their
   * time. What is in the kernel stays.
   */
  close(): Promise<void>;
  /**
   * Releases what nobody uses any more: addresses from before this boot, attachments whose veth pair is gone.
   * To be called at the start and every minute; while one runs, it is that one. Never rejects: what goes wrong is logged, and tried
   * again next time.
   */
  sweep(): Promise<Swept>;
  /** How full the networks that were used since the start are, in the node's own `subnets`. Waits for nothing. */
  usage(subnets: readonly Prefix[]): NetworkUsage[];
}

/** Opens the netlink sockets. Throws a NetlinkError when they cannot be had. */
export function createCniService(options: CniServiceOptions): CniService {
  const { binding, clock, log, announcements, socketPath, handlers } = options;
  const stores = new Stores({ files: fs, flock: (fd, operation) => binding.flock(fd, operation), clock });
  const host = new SyncSession(openSocket(binding));
  const session = new AsyncSession(openSocket(binding), clock);
  const remover = new LinkRemover(openSocket(binding), announcements, session);
  const hostNetns = ownNamespace('net');
  const forwarding = new Forwarding();
  const world = warmWorld({
    ...options,
    stores,
    host,
    hostNetns,
    forwarding,
    removeLink: (ifindex) => remover.remove(ifindex),
  });
  const server = new CniServer({
    binding,
    clock,
    log,
    path: socketPath,
    ownNetns: hostNetns,
    ownMounts: ownNamespace('mnt'),
    serve: (request, caller) => serve(world, request, caller),
    ...(handlers && { handlers }),
  });
  let sweeping: Promise<Swept> | undefined;
  return {
    listen: () => server.listen(),
    async close() {
      await Promise.all([server.close(), sweeping && waitAtMost(clock, drainLimit, sweeping)]);
      remover.close();
      session.close();
      host.close();
      forwarding.close();
      stores.close();
    },
    sweep: () =>
      (sweeping ??= sweep(world, defaultDataDir).finally(() => {
        sweeping = undefined;
      })),
    usage: (subnets) => stores.usage(subnets),
  };
}

interface WarmWorldInput extends CniServiceOptions {
  readonly stores: Stores;
  readonly host: SyncSession;
  readonly hostNetns: string;
  readonly forwarding: Forwarding;
  readonly removeLink: World['removeLink'];
}

function warmWorld(input: WarmWorldInput): World {
  const { clock, log, random, run, announcements, stores, host, forwarding, removeLink } = input;
  const bridges = new Bridges(host, announcements);
  return {
    host,
    hostNetns: input.hostNetns,
    observeBridge: (name) => bridges.observe(name),
    forwarding: () => forwarding.now(),
    beingMade: new Set(),
    removeLink,
    store: (directory) => stores.open(directory),
    existingStore: (directory) => stores.openExisting(directory),
    files: machineFiles,
    clock,
    random,
    log,
    run,
    get bootTime() {
      return input.bootTime();
    },
    adoptedBridges: new Set(),
    ...warmMasquerade(run),
    get ipv6RouteMtu() {
      return input.ipv6RouteMtu();
    },
  };
}

/** The launcher's side may have the programs and the rights that the daemon lacks. What works once is not tried again. */
function warmMasquerade(run: Run): Pick<World, 'masqueradeBackend' | 'expectMasquerade'> {
  let chosen: MasqueradeBackend | undefined;
  const working = new Set<MasqueradeBackend>();
  return {
    async masqueradeBackend() {
      chosen ??= await chooseBackend(run).catch((error: unknown) => {
        throw new NotMine((error as Error).message);
      });
      return chosen;
    },
    async expectMasquerade(backend) {
      if (working.has(backend)) return;
      const why = await tryBackend(run, backend);
      if (why !== undefined) throw new NotMine(`${backend} does not work where flanneld runs: ${why}`);
      working.add(backend);
    },
  };
}
