import { vxlan } from '../../src/backend/vxlan.ts';
import { vxlanOptions } from '../../src/backend/vxlan-options.ts';
import type { Part } from '../../src/kernel/desired.ts';
import { groups } from '../../src/kernel/groups.ts';
import type { KernelObject } from '../../src/kernel/object.ts';
import { Reconciler } from '../../src/kernel/reconciler.ts';
import type { Report } from '../../src/kernel/report.ts';
import type { Tunnels } from '../../src/kernel/tunnels.ts';
import { Announcements } from '../../src/netlink/announcements.ts';
import * as k from '../../src/netlink/constants.ts';
import { newAddress } from '../../src/netlink/route/address.ts';
import { newLink } from '../../src/netlink/route/link.ts';
import { AsyncSession, SyncSession } from '../../src/netlink/session.ts';
import { address } from '../../src/net/address.ts';
import type { Log } from '../../src/world/log.ts';
import { peer, self } from '../backend/nodes.ts';
import { idle, VirtualClock } from '../kit/virtual-clock.ts';
import { FakeKernel } from '../netlink/fake-kernel.ts';
import { ownership } from './objects.ts';

/** A whole reconciler upon a made-up kernel and clock. */
export class World implements AsyncDisposable {
  readonly kernel = new FakeKernel();
  readonly clock = new VirtualClock();
  readonly reports: Report[] = [];
  readonly warnings: string[] = [];
  readonly announcements = new Announcements(this.kernel.open(groups), this.clock);
  /** The links that were told of. */
  readonly links: string[] = [];
  readonly reconciler: Reconciler;
  readonly #session = new AsyncSession(this.kernel.open(), this.clock);

  /** `tunnelsOf` makes WireGuard upon the kernel and the clock. */
  constructor(tunnelsOf?: (world: World) => Tunnels) {
    const outside = new SyncSession(this.kernel.open());
    const eth0 = { IFLA_IFNAME: 'eth0', ifi_flags: k.IFF_UP, ifi_change: k.IFF_UP };
    outside.request(newLink({ ...eth0, IFLA_LINKINFO: { IFLA_INFO_KIND: 'dummy' } }));
    outside.request(
      newAddress({ ifa_family: k.AF_INET, ifa_prefixlen: 24, ifa_index: 2, IFA_LOCAL: address('192.0.2.1') }),
    );
    const log: Log = {
      debug() {},
      info() {},
      warn: (_fields, message) => void this.warnings.push(message),
      error: (_fields, message) => void this.warnings.push(message),
    };
    this.reconciler = new Reconciler({
      session: this.#session,
      subscribe: (onMessage, onLost) => this.announcements.subscribe(onMessage, onLost),
      ...(tunnelsOf && { tunnels: tunnelsOf(this) }),
      clock: this.clock,
      log,
      onLink: (name) => void this.links.push(name),
      onReport: (report) => void this.reports.push(report),
    });
    this.reconciler.own(ownership);
  }

  /** Requests that change something, since the last call. */
  writes(): string[] {
    return this.kernel.requests
      .splice(0)
      .filter(({ name }) => !name.startsWith('RTM_GET'))
      .map(({ name }) => name);
  }

  async start(peers: readonly number[]): Promise<Report> {
    this.reconciler.replaceParts(parts(peers));
    await this.reconciler.start();
    return this.reconciler.settled();
  }

  /** Lets announcements be told, which wait two milliseconds for one another, and everything run that comes of them. */
  async hear(): Promise<void> {
    await this.clock.advance(2);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.reconciler.close();
    this.announcements.close();
    this.#session.close();
    await idle();
  }
}

/** IPv4 alone. */
export const backend = vxlan(vxlanOptions({}), { ipv4: true, ipv6: false });
export const planPeer = (n: number) => backend.planPeer(self, peer(n));

/** This node and peers, by their numbers. */
export function parts(peers: readonly number[]): Map<Part, readonly KernelObject[]> {
  const all = new Map<Part, readonly KernelObject[]>([['node', backend.planNode(self)]]);
  for (const n of peers) all.set(`node-${n}`, planPeer(n));
  return all;
}
