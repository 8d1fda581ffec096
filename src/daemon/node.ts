import type { Backend, Self } from '../backend/backend.ts';
import type { LastKnown } from '../lease/last-known.ts';
import type { Lease, LeaseAttributes } from '../lease/lease.ts';
import { type Entry, type LeaseSink, type LeaseWish, RegistryError } from '../lease/registry.ts';
import type { Prefix } from '../net/prefix.ts';
import { waitAtMost } from '../world/clock.ts';
import { foundDevices } from './host/found-devices.ts';
import { macsOf } from './devices/identity.ts';
import { LeaseKeeper } from './leases/lease-keeper.ts';
import type { NetworkConfig } from './network/network-config.ts';
import { nodeOwnership } from './devices/node-ownership.ts';
import type { NodeWorld } from './node-world.ts';
import { describeLease, fits, subnetEnvOf, toldAddresses } from './leases/own-lease.ts';
import { nodePart, Peers } from './leases/peers.ts';
import { RegistryContact } from './leases/registry-contact.ts';
import { retry } from './retry.ts';
import { SavedState } from './files/saved-state.ts';
import type { Status } from './report/status.ts';
import type { SubnetEnv } from './files/subnet-env.ts';
import { SubnetFile } from './files/subnet-file.ts';
import { followSurroundings, isOnLink } from './host/surroundings.ts';
import { WayOut } from './host/way-out.ts';

/** Between attempts to make the host ready, and to tell the cluster that the network is up, in milliseconds. */
const hostBackOff = { first: 500, longest: 15_000 };
const completeBackOff = { first: 1000, longest: 60_000 };

/** A stop waits so long for the kernel at most, in milliseconds. */
const stopLimit = 5000;

/**
 * A node's life. Its lease makes it known to the others; their leases, judged, are planned by the backend; the reconciler makes
 * the kernel so and keeps it so. Nothing here touches the kernel.
 */
export class FlannelNode {
  readonly #world: NodeWorld;
  readonly #config: NetworkConfig;
  readonly #backend: Backend;
  readonly #abort = new AbortController();
  readonly #wayOut: WayOut;
  #own: Lease | undefined;
  /** There since this node has a lease. */
  #peers: Peers | undefined;
  readonly #contact: RegistryContact;
  #identity: Self['identity'] = { macs: {} };
  readonly #keeper: LeaseKeeper;
  /** The registry does not say which lease this node has. */
  #onAway = (): void => {};
  #ready = false;
  readonly #saved: SavedState;
  readonly #subnetFile: SubnetFile;
  readonly #stops: (() => void)[] = [];

  /** Throws an InterfaceError when there is no way to other nodes yet. */
  constructor(config: NetworkConfig, backend: Backend, world: NodeWorld) {
    this.#config = config;
    this.#backend = backend;
    this.#world = world;
    this.#wayOut = new WayOut(world);
    this.#saved = new SavedState(
      world,
      () => this.#own && this.#peers && { own: this.#own, peers: this.#peers.leases },
    );
    this.#subnetFile = new SubnetFile(world, this, this.#abort.signal);
    this.#contact = new RegistryContact(world.registry.name, world);
    this.#keeper = new LeaseKeeper({
      registry: world.registry,
      clock: world.clock,
      random: world.random,
      wish: () => this.#wish(),
      failed: (error, wait) => this.#askedInVain(error, wait),
    });
  }

  /** Joins the network; resolves when the node is ready or {@link stop} was called. Rejects with a permanent RegistryError. */
  async start(): Promise<void> {
    const { reconciler, registry, log } = this.#world;
    await reconciler.start();
    const known = this.#world.lastKnown();
    this.#identity = await this.#chooseIdentity(known);
    await this.#world.extension?.prepare();
    const lease = await this.#acquire(known);
    if (lease === undefined || this.#abort.signal.aborted) return;
    const peers = this.#settleIn(lease, known);
    log.info({ lease: describeLease(lease), interface: this.#wayOut.external.name }, 'this node has a lease');
    this.#stops.push(registry.watch(this.#sink(peers)));
    const anyRoute = this.#world.anyRoute === true || this.#backend.plansByRoutes === true;
    const surroundings = { ...this.#world, anyRoute, chosen: () => this.#wayOut.external.name };
    this.#stops.push(followSurroundings(surroundings, () => this.#guarded(this.#lookAround())));
    await this.#becomeReady();
  }

  /** The registry has another public address for this node: as when an interface changes. Before there is a lease each attempt looks. */
  lookAgain(): void {
    if (this.#peers !== undefined) this.#guarded(this.#lookAround());
  }

  /**
   * Ends it. The kernel, the lease and the subnet file stay as they are: pods go on talking. Resolves when a command of the
   * operator's that is to be run at the end has run.
   */
  async stop(): Promise<void> {
    this.#abort.abort();
    this.#keeper.stop();
    for (const stop of this.#stops.splice(0)) stop();
    this.#saved.close();
    if (this.#world.nexthops) await this.#leavePlainRoutes();
    this.#world.reconciler.close();
    await this.#world.extension?.stop();
  }

  async #leavePlainRoutes(): Promise<void> {
    const { reconciler, clock } = this.#world;
    this.#peers?.withoutNexthops();
    await waitAtMost(clock, stopLimit, reconciler.settled());
  }

  /** Peers do not count: one that cannot be reached keeps nobody from serving pods. */
  get waitingFor(): string[] {
    const { registry, reconciler } = this.#world;
    if (this.#own === undefined) {
      return [
        this.#wayOut.lost === undefined
          ? `a lease from the ${registry.name}`
          : 'an interface that leads to other nodes',
      ];
    }
    const obstacles = reconciler.obstacles(nodePart);
    if (obstacles.length > 0 || this.#ready) return obstacles;
    return ['the network to be in place'];
  }

  /** The MTU of what carries IPv6 between nodes where it is smaller than the pods'. */
  get ipv6RouteMtu(): number | undefined {
    return this.#backend.ipv6Mtu(this.#wayOut.external);
  }

  /** The whole pod network, one a family. */
  get networks(): Prefix[] {
    const { ipv4, ipv6 } = this.#config.network;
    return [ipv4, ipv6].flatMap((network) => network ?? []);
  }

  get subnets(): Prefix[] {
    return [this.#own?.subnet, this.#own?.ipv6Subnet].flatMap((subnet) => subnet ?? []);
  }

  /** What CNI plugins need to know, once this node has a lease. */
  get subnetEnv(): SubnetEnv | undefined {
    const { network } = this.#config;
    const pods = { mtu: this.#backend.mtu(this.#wayOut.external), ipMasq: this.#world.ipMasq };
    return this.#own && subnetEnvOf(network, this.#own, pods);
  }

  status(): Omit<Status, 'version' | 'uptime' | 'addresses' | 'node'> {
    const { reconciler, wireguard } = this.#world;
    const peers = this.#peers?.leases ?? [];
    const firewall = this.#world.firewallProblem();
    return {
      registry: this.#contact.status(),
      interface: {
        name: this.#wayOut.external.name,
        mtu: this.#wayOut.external.mtu,
        ...(this.#wayOut.lost !== undefined && { lost: this.#wayOut.lost }),
      },
      backend: this.#config.backendType,
      ...(this.#own && { lease: this.#own }),
      peers,
      ...(wireguard && { wireguard: wireguard.status(peers) }),
      refused: [...(this.#peers?.refusals ?? []), ...(this.#world.extension?.refusals ?? [])],
      kernel: reconciler.report(),
      ...(firewall !== undefined && { firewall }),
      waitingFor: this.waitingFor,
    };
  }

  async #chooseIdentity(known: LastKnown | undefined): Promise<Self['identity']> {
    const { registry, session, random, wireguard } = this.#world;
    const owner = {
      attributes: this.#wayOut.external,
      network: this.#config.network,
      previous: this.#world.previous(),
    };
    const own = await registry.own(owner).catch(() => undefined);
    const macs = macsOf(this.#backend, session, [own, known?.own], random);
    return { macs, ...(wireguard && { wireguard: wireguard.identity }) };
  }

  #attributes(): LeaseAttributes {
    const { announced, extension } = this.#world;
    const data = extension?.data;
    return {
      ...toldAddresses(this.#wayOut.external, announced),
      backendType: this.#backend.type,
      ...this.#backend.attributes(this.#wayOut.external, this.#identity),
      ...(data !== undefined && { backendData: data }),
    };
  }

  /**
   * The lease, however long it takes. While the registry is away, the one last known serves: pods and peers of before a reboot need no
   * registry. Not so when it answers that this node has none.
   */
  async #acquire(known: LastKnown | undefined): Promise<Lease | undefined> {
    const asking = this.#keeper.ask().then((lease) => {
      if (lease !== undefined) this.#contact.answers();
      return lease;
    });
    if (known === undefined || !fits(this.#config.network, known.own)) return asking;
    const away = new Promise<'away'>((resolve) => {
      this.#onAway = () => resolve('away');
    });
    const first = await Promise.race([asking, away]);
    if (first !== 'away') return first;
    this.#world.log.warn(
      { lease: describeLease(known.own) },
      'starting with the lease last known, without the registry',
    );
    this.#guarded(asking.then((lease) => lease && this.#renewed(lease)));
    return { ...known.own, attributes: this.#attributes() };
  }

  /** Throws an InterfaceError when nothing leads to other nodes: the next attempt looks again. */
  #wish(): LeaseWish {
    // Nobody follows the surroundings yet, and a registry may be away for hours.
    if (this.#peers === undefined) this.#wayOut.choose();
    return {
      attributes: this.#attributes(),
      network: this.#config.network,
      previous: this.#world.previous(),
    };
  }

  #askedInVain(error: unknown, wait: number): void {
    const [why, hasLease] = [messageOf(error), this.#own !== undefined];
    // The registry has not been asked at all.
    if (!hasLease && this.#wayOut.lost !== undefined) this.#world.log.warn({ wait }, `no lease yet: ${why}`);
    else this.#contact.failed(hasLease ? 'peers cannot be told' : 'no lease yet', why, wait);
    if (error instanceof RegistryError && error.withoutSubnet) this.#onAway = () => {};
    else this.#onAway();
  }

  /** For work that nobody waits for: what goes wrong is told, and the daemon goes on with what it had. */
  #guarded(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      this.#world.log.error({ err: error }, `a change could not be followed: ${messageOf(error)}`);
    });
  }

  #settleIn(lease: Lease, known: LastKnown | undefined): Peers {
    const { reconciler, session, log, blackhole, nexthops, extension } = this.#world;
    this.#own = lease;
    const peers = new Peers(this.#self(lease), known?.peers ?? [], {
      network: this.#config.network,
      backend: this.#backend,
      reconciler,
      log,
      blackhole,
      nexthops,
      isOnLink: (address) => isOnLink(session, address),
      extension,
    });
    this.#peers = peers;
    reconciler.own(
      nodeOwnership({
        backend: this.#backend,
        network: this.#config.network,
        before: [this.#world.previous(), known?.own],
        devices: foundDevices(session),
        isFlannelRoute: (destination, gateway) => peers.isFlannelRoute(destination, gateway),
        blackholes: blackhole ? this.subnets : [],
      }),
    );
    return peers;
  }

  #self(lease: Lease): Self {
    return { lease, external: this.#wayOut.external, identity: this.#identity };
  }

  #sink(peers: Peers): LeaseSink {
    return {
      all: (entries) => {
        peers.all(entries);
        this.#saved.changed();
        if (this.#own !== undefined) this.#ownTold(this.#own, entries.get(this.#own.id));
      },
      changed: (id, entry) => {
        peers.changed(id, entry);
        this.#saved.changed();
        if (id === this.#own?.id) this.#ownTold(this.#own, entry);
      },
      gone: (id) => {
        peers.gone(id);
        this.#saved.changed();
        if (id === this.#own?.id) this.#ownTold(this.#own);
      },
      stale: (since, why = '') =>
        since === undefined ? this.#contact.answers() : this.#contact.isAway(since, why),
    };
  }

  /**
   * What others know of this node. No lease, when somebody removed it or it has ended; another subnet, when a directory was mounted
   * after this node had started without it.
   */
  #ownTold(own: Lease, entry?: Entry): void {
    const { log, registry } = this.#world;
    if (entry === undefined) {
      log.warn({}, `the lease of this node is gone from the ${registry.name}: asking anew`);
    } else if ('lease' in entry && describeLease(entry.lease) !== describeLease(own)) {
      log.warn({}, `the ${registry.name} has another subnet for this node: asking anew`);
    } else return;
    this.#guarded(this.#askAgain());
  }

  async #askAgain(): Promise<void> {
    const lease = await this.#keeper.ask();
    if (lease !== undefined) this.#renewed(lease);
  }

  async #lookAround(): Promise<void> {
    const found = this.#wayOut.look();
    if (found === 'gone') return;
    if (found === 'same') return this.#peers?.waysChanged();
    this.#replan();
    void this.#prepareHost();
    await this.#askAgain();
  }

  /** For the interface that it is by then. */
  async #prepareHost(): Promise<void> {
    const { log, prepareHost } = this.#world;
    await retry(
      this.#world,
      hostBackOff,
      () => prepareHost(this.#wayOut.external),
      (error, wait) => log.error({ wait }, `the host could not be made ready: ${messageOf(error)}`),
      this.#abort.signal,
    );
  }

  #renewed(lease: Lease): void {
    this.#contact.answers();
    const [before, now] = [this.#own, lease].map((each) => each && describeLease(each));
    if (before !== now) {
      const what = `this node's subnet is ${now} now, and was ${before}`;
      this.#world.log.warn({}, `${what}: pods with addresses of the old one are cut off, so make them anew`);
    }
    this.#own = lease;
    this.#world.extension?.renew(lease);
    this.#replan();
  }

  #replan(): void {
    if (this.#own === undefined) return;
    this.#peers?.setSelf(this.#self(this.#own));
    this.#saved.changed();
    if (this.#ready) void this.#subnetFile.refresh();
  }

  async #becomeReady(): Promise<void> {
    const { reconciler, registry, log, ready, extension } = this.#world;
    if (this.#own !== undefined) await extension?.begin(this.#own);
    // Peers have been tried once, and this node's own part stands.
    await reconciler.settled();
    await reconciler.inPlace(nodePart);
    if (this.#abort.signal.aborted) return;
    await this.#prepareHost();
    await this.#subnetFile.refresh();
    if (this.#abort.signal.aborted) return;
    this.#ready = true;
    this.#saved.save();
    ready();
    await retry(
      this.#world,
      completeBackOff,
      () => registry.complete(),
      (error, wait) =>
        log.warn({ wait }, `cannot tell the cluster that the network is up: ${messageOf(error)}`),
      this.#abort.signal,
    );
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
