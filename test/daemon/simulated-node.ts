import { makeBackend } from '../../src/backend/backends.ts';
import { dryRun } from '../../src/daemon/dry-run.ts';
import { observeHost } from '../../src/daemon/host/host.ts';
import { chooseInterface } from '../../src/daemon/host/interface-choice.ts';
import { familiesOf } from '../../src/daemon/network/network-config.ts';
import { FlannelNode } from '../../src/daemon/node.ts';
import type { NodeWorld } from '../../src/daemon/node-world.ts';
import { previousSubnets, subnetEnvText } from '../../src/daemon/files/subnet-env.ts';
import { externalOf } from '../../src/daemon/host/surroundings.ts';
import { groups } from '../../src/kernel/groups.ts';
import { Reconciler } from '../../src/kernel/reconciler.ts';
import { lastKnownText, parseLastKnown } from '../../src/lease/last-known.ts';
import type { Registry } from '../../src/lease/registry.ts';
import { type Address, address, familyOf } from '../../src/net/address.ts';
import { mac } from '../../src/net/mac.ts';
import { type Prefix, prefix, prefixAddress, prefixLength } from '../../src/net/prefix.ts';
import { Announcements } from '../../src/netlink/announcements.ts';
import * as k from '../../src/netlink/constants.ts';
import { delAddress, newAddress } from '../../src/netlink/route/address.ts';
import { newLink, setLink } from '../../src/netlink/route/link.ts';
import { newNeighbour } from '../../src/netlink/route/neighbour.ts';
import { newRoute } from '../../src/netlink/route/route.ts';
import { AsyncSession, SyncSession } from '../../src/netlink/session.ts';
import { sleep } from '../../src/world/clock.ts';
import type { Log } from '../../src/world/log.ts';
import type { Random } from '../../src/world/random.ts';
import { readNetworkConfig } from '../kit/network-config.ts';
import { idle, type VirtualClock } from '../kit/virtual-clock.ts';
import { FakeKernel } from '../netlink/fake-kernel.ts';
import type { SharedLeases } from './shared-leases.ts';

export interface Cluster {
  readonly clock: VirtualClock;
  readonly leases: SharedLeases;
  readonly random: Random;
  /** net-conf.json. */
  readonly config: object;
}

/** A machine with a kernel that is made up, a disc, and a flanneld that can be started, stopped and killed. */
export class SimulatedNode implements AsyncDisposable {
  readonly id: string;
  kernel = new FakeKernel();
  readonly log: string[] = [];
  /** The disc. */
  state: string | undefined;
  subnetEnv: string | undefined;
  discIsFull = false;
  /** The pod subnets that the firewall knows; writing them takes so many milliseconds. */
  firewall: readonly Prefix[] = [];
  firewallTakes = 0;
  /** Of each start, where it is not to be the cluster's. */
  openRegistry: (() => Registry) | undefined;
  ready = false;
  /** What {@link FlannelNode.start} rejected with. */
  failure: unknown;
  flanneld: FlannelNode | undefined;
  addresses: readonly Address[];
  readonly #cluster: Cluster;
  #toClose: { close(): void }[] = [];

  /** Interfaces that the host was made ready for. */
  readonly prepared: string[] = [];
  /** Attempts to make it ready that fail. */
  refusePrepare = 0;

  constructor(id: string, addresses: readonly string[], cluster: Cluster) {
    this.id = id;
    this.#cluster = cluster;
    this.addresses = addresses.map(address);
    this.#boot();
  }

  /** The power fails: a new kernel, the same disc. */
  reboot(): void {
    this.kill();
    this.subnetEnv = undefined;
    this.kernel = new FakeKernel();
    this.#boot();
  }

  /** eth0 with the machine's addresses, default routes, and things of others that nobody may touch. */
  #boot(): void {
    this.outside((session) => {
      session.request(newLink({ IFLA_IFNAME: 'eth0', ...up, IFLA_LINKINFO: { IFLA_INFO_KIND: 'dummy' } }));
      for (const each of this.addresses) session.request(newAddress(onEth0(each)));
      for (const [to, gateway, protocol] of foreignRoutes) session.request(routeOf(to, gateway, protocol));
      session.request(
        newNeighbour({
          ndm_family: k.AF_INET,
          ndm_ifindex: 2,
          ndm_state: k.NUD_PERMANENT,
          NDA_DST: address('192.0.2.254'),
          NDA_LLADDR: mac('02:00:00:00:00:fe'),
        }),
      );
    });
  }

  /** eth0 gets other addresses. */
  readdress(addresses: readonly string[]): void {
    const before = this.addresses;
    this.addresses = addresses.map(address);
    this.outside((session) => {
      for (const each of this.addresses) session.request(newAddress(onEth0(each)));
      for (const each of before) session.request(delAddress(onEth0(each)));
    });
  }

  /** eth0 gets another name. */
  rename(name: string): void {
    this.outside((session) => session.request(setLink({ ifi_index: 2, IFLA_IFNAME: name })));
  }

  /** Somebody else's doing: it is not among the kernel's {@link FakeKernel.requests} afterwards. */
  outside(work: (session: SyncSession) => void): void {
    const before = this.kernel.requests.length;
    work(new SyncSession(this.kernel.open()));
    this.kernel.requests.splice(before);
  }

  /** Starts flanneld: see {@link ready} and {@link failure}. */
  start(): void {
    this.ready = false;
    this.failure = undefined;
    const { network, backend, world } = this.#prepare(false);
    const flanneld = new FlannelNode(network, backend, {
      ...world,
      saveLastKnown: (state) => {
        if (this.flanneld === flanneld) this.state = lastKnownText(state);
      },
    });
    this.flanneld = flanneld;
    flanneld.start().catch((error: unknown) => {
      this.failure = error;
    });
  }

  /** `flanneld --adopt-dry-run`: what it says. Rejects when it would fail. */
  async dryRun(): Promise<string> {
    const { network, backend, world } = this.#prepare(true);
    const said = dryRun(network, backend, {
      ...world,
      subnetFile: { name: 'subnet.env', text: this.subnetEnv },
      planHost: (external) => [`net.ipv4.ip_forward=1 for ${external}`],
      planFirewall: () => Promise.resolve(['iptables: *nat']),
    });
    try {
      return await said;
    } finally {
      for (const open of this.#toClose.splice(0)) open.close();
    }
  }

  #prepare(dryRun: boolean) {
    const { clock, random, leases, config } = this.#cluster;
    const network = readNetworkConfig(JSON.stringify(config));
    const backend = makeBackend(network.backendType, { options: network.backend, network: network.network });
    const session = new SyncSession(this.kernel.open());
    const worker = new AsyncSession(this.kernel.open(), clock);
    const announcements = new Announcements(this.kernel.open(groups), clock);
    this.#toClose = [session, worker, announcements];
    const log = this.#openLog();
    const wished = familiesOf(network);
    const world: NodeWorld = {
      clock,
      log,
      random,
      session,
      reconciler: new Reconciler({
        session: worker,
        subscribe: (onMessage, onLost) => announcements.subscribe(onMessage, onLost),
        clock,
        log,
        dryRun,
      }),
      subscribe: (onMessage, onLost) => announcements.subscribe(onMessage, onLost),
      registry: this.openRegistry?.() ?? leases.registry(this.id),
      chooseExternal: () =>
        externalOf(
          chooseInterface(observeHost(session), {
            families: wished,
            iface: [],
            ifaceRegex: [],
            nodeIPs: [],
            networks: [],
          }),
        ),
      previous: () => previousSubnets(this.subnetEnv ?? ''),
      lastKnown: () => (this.state === undefined ? undefined : parseLastKnown(this.state, 'state.json')),
      saveLastKnown: () => {},
      prepareHost: async ({ name }) => {
        if (this.refusePrepare-- > 0) throw new Error('EINTR: the dump was interrupted');
        this.prepared.push(name);
      },
      keepFirewall: async (_networks, subnets) => {
        if (this.firewallTakes > 0) await sleep(clock, this.firewallTakes);
        this.firewall = subnets;
      },
      firewallProblem: () => undefined,
      ipMasq: true,
      blackhole: false,
      nexthops: false,
      writeSubnetEnv: (env) => {
        if (this.discIsFull) throw new Error('ENOSPC: no space left on device');
        this.subnetEnv = subnetEnvText(env);
      },
      ready: () => {
        this.ready = true;
      },
    };
    return { network, backend, world };
  }

  /** SIGTERM. */
  stop(): void {
    void this.flanneld?.stop();
    this.#end();
  }

  /** SIGKILL: nothing is written any more. */
  kill(): void {
    const { flanneld } = this;
    this.flanneld = undefined;
    void flanneld?.stop();
    this.#end();
  }

  #end(): void {
    this.flanneld = undefined;
    this.ready = false;
    for (const open of this.#toClose.splice(0)) open.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await idle();
  }

  #openLog(): Log {
    const write = (level: string) => (_fields: object, message: string) =>
      void this.log.push(`${level}: ${message}`);
    return { debug() {}, info: write('info'), warn: write('warn'), error: write('error') };
  }

  /** All that is on the devices and in the main table, but for what the kernel itself brings, sorted. */
  shown(): string[] {
    const { links, addresses, routes, neighbours } = this.kernel;
    const nameOf = (index: number | undefined): string => links.get(index ?? 0)?.IFLA_IFNAME ?? '?';
    const isUp = (flags: number): string => ((flags & k.IFF_UP) === 0 ? 'down' : 'up');
    return [
      ...[...links.values()]
        .filter(({ IFLA_IFNAME }) => IFLA_IFNAME !== 'lo' && IFLA_IFNAME !== 'eth0')
        .map((link) => {
          const info = link.IFLA_LINKINFO;
          const data = info?.IFLA_INFO_KIND === 'vxlan' ? info.IFLA_INFO_DATA : undefined;
          const local = data?.IFLA_VXLAN_LOCAL ?? data?.IFLA_VXLAN_LOCAL6;
          return `link ${link.IFLA_IFNAME} ${String(link.IFLA_ADDRESS)} local ${local} ${isUp(link.ifi_flags)}`;
        }),
      ...addresses
        .filter(({ ifa_index }) => nameOf(ifa_index) !== 'eth0')
        .map(
          (each) =>
            `address ${each.IFA_LOCAL ?? each.IFA_ADDRESS}/${each.ifa_prefixlen} ${nameOf(each.ifa_index)}`,
        ),
      ...routes
        .filter(({ rtm_protocol }) => rtm_protocol !== k.RTPROT_KERNEL)
        .map((each) => {
          const to = each.RTA_DST ?? (each.rtm_family === k.AF_INET ? '0.0.0.0' : '::');
          return `route ${to}/${each.rtm_dst_len} via ${each.RTA_GATEWAY} ${nameOf(each.RTA_OIF)} ${each.rtm_protocol}`;
        }),
      ...neighbours.map((each) => {
        const kind = each.ndm_family === k.AF_BRIDGE ? 'fdb' : 'neighbour';
        return `${kind} ${each.NDA_DST} ${String(each.NDA_LLADDR)} ${nameOf(each.ndm_ifindex)}`;
      }),
    ].toSorted();
  }
}

const up = { ifi_flags: k.IFF_UP, ifi_change: k.IFF_UP };

/** The default routes; one as an operator adds it; one of protocol boot that no lease explains. */
const foreignRoutes = [
  ['0.0.0.0/0', '192.0.2.254', k.RTPROT_STATIC],
  ['::/0', '2001:db8::fe', k.RTPROT_STATIC],
  ['198.51.100.0/24', '192.0.2.254', k.RTPROT_STATIC],
  ['203.0.113.0/24', '192.0.2.254', k.RTPROT_BOOT],
  ['10.244.200.0/24', '192.0.2.254', k.RTPROT_BOOT],
] as const;

function routeOf(to: string, via: string, rtm_protocol: number) {
  const [destination, gateway] = [prefix(to), address(via)];
  const rtm_dst_len = prefixLength(destination);
  return newRoute({
    rtm_family: familyOf(gateway) === 4 ? k.AF_INET : k.AF_INET6,
    rtm_dst_len,
    ...(rtm_dst_len > 0 && { RTA_DST: prefixAddress(destination) }),
    RTA_GATEWAY: gateway,
    RTA_OIF: 2,
    rtm_protocol,
    rtm_table: k.RT_TABLE_MAIN,
  });
}

function onEth0(local: Address) {
  const ipv4 = familyOf(local) === 4;
  return {
    ifa_family: ipv4 ? k.AF_INET : k.AF_INET6,
    ifa_prefixlen: ipv4 ? 24 : 64,
    ifa_index: 2,
    IFA_LOCAL: local,
    IFA_ADDRESS: local,
  };
}
