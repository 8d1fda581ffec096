import { loadBinding } from '../../native/binding.ts';
import { vxlan } from '../../src/backend/vxlan.ts';
import { type VxlanOptions, vxlanOptions } from '../../src/backend/vxlan-options.ts';
import type { Ownership, Part } from '../../src/kernel/desired.ts';
import { groups, newerGroups } from '../../src/kernel/groups.ts';
import type { KernelObject } from '../../src/kernel/object.ts';
import { Reconciler, type ReconcilerWorld } from '../../src/kernel/reconciler.ts';
import type { Report } from '../../src/kernel/report.ts';
import { prefix } from '../../src/net/prefix.ts';
import { Announcements } from '../../src/netlink/announcements.ts';
import { AsyncSession } from '../../src/netlink/session.ts';
import { openSocket } from '../../src/netlink/socket.ts';
import { systemClock } from '../../src/world/clock.ts';
import { silentLog } from '../../src/world/log.ts';
import { macOf, peer, self } from '../backend/nodes.ts';
import { createNetns, type Netns } from '../kit/netns.ts';
import { type Watch, watch } from './watch.ts';

const binding = loadBinding();

export const podNetworks = [prefix('10.244.0.0/16'), prefix('fd00:10:244::/56')];

export const ownership: Ownership = {
  links: new Set(['flannel.1', 'flannel-v6.1']),
  networks: podNetworks,
  isFlannelRoute: (destination) => destination.startsWith('10.244.'),
};

export const bothFamilies = { ipv4: true, ipv6: true };

/** vxlan's plan of this node and of peers, by their numbers. */
export function parts(
  peers: readonly number[],
  families = bothFamilies,
  options: Partial<VxlanOptions> = {},
): Map<Part, readonly KernelObject[]> {
  const given = { ...vxlanOptions({}), ...options };
  const backend = vxlan(given, families);
  const all = new Map<Part, readonly KernelObject[]>([['node', backend.planNode(self)]]);
  const told = (n: number, family: 4 | 6) => ({ VNI: given.vni, VtepMAC: macOf(n, family) });
  for (const n of peers) {
    const lease = peer(n, { backendData: told(n, 4), backendV6Data: told(n, 6) });
    all.set(`peer node-${n}`, backend.planPeer(self, lease));
  }
  return all;
}

/** A namespace with an interface to other nodes, and a reconciler that works in it. */
export class TestNode {
  readonly netns: Netns;
  readonly session: AsyncSession;
  readonly reconciler: Reconciler;
  readonly #announcements: Announcements;
  readonly #watches: Watch[] = [];

  constructor(options: Partial<Pick<ReconcilerWorld, 'dryRun' | 'log'>> = {}, netns = createNetns()) {
    this.netns = netns;
    this.session = new AsyncSession(openSocket(binding, { netnsFd: this.netns.fd }), systemClock);
    const socket = openSocket(binding, { netnsFd: this.netns.fd, groups, newerGroups });
    this.#announcements = new Announcements(socket, systemClock);
    this.reconciler = new Reconciler({
      session: this.session,
      subscribe: (onMessage, onLost) => this.#announcements.subscribe(onMessage, onLost),
      clock: systemClock,
      log: silentLog,
      ...options,
    });
  }

  /** eth0, a wire to nowhere, with 192.0.2.1 and 2001:db8::1, MTU 1500. */
  async plug(): Promise<void> {
    await this.ip('link add eth0 type veth peer name wire');
    await this.ip('link set wire up');
    await this.ip('addr add 192.0.2.1/24 dev eth0');
    await this.ip('addr add 2001:db8::1/64 dev eth0 nodad');
    await this.ip('link set eth0 up');
  }

  /** Starts the reconciler with that desired, and answers when it is in place. */
  async keep(desired: ReadonlyMap<Part, readonly KernelObject[]>): Promise<Report> {
    this.reconciler.own(ownership);
    this.reconciler.replaceParts(desired);
    await this.reconciler.start();
    return this.reconciler.settled();
  }

  /** All that is shown of what flannel makes, without the kernel's own. */
  async shown(): Promise<string[]> {
    const lines = [
      ...(await this.lines('ip -o addr show to 10.244.0.0/16')),
      ...(await this.lines('ip -o -6 addr show to fd00::/16')),
      ...(await this.lines('ip neigh show nud permanent')),
      ...(await this.lines('bridge fdb show')),
      ...(await this.lines('ip route show')),
      ...(await this.lines('ip -6 route show')),
    ];
    const ours = lines.filter((line) => line.includes('flannel') && !line.includes('proto kernel'));
    // An index, a label and lifetimes say nothing here.
    return ours.map((line) => line.replace(/^\d+: /, '').replace(/ ?\\.*$/, ''));
  }

  /** `ip` with its arguments in one text. */
  ip(line: string): Promise<string> {
    return this.netns.exec('ip', ...line.split(' '));
  }

  /** What `ip` or `bridge` prints, each line without white space at its ends, sorted. */
  async lines(line: string): Promise<string[]> {
    const [program = '', ...args] = line.split(' ');
    const text = await this.netns.exec(program, ...args);
    return text
      .split('\n')
      .map((shown) => shown.trim().replaceAll(/ +/g, ' '))
      .filter((shown) => shown !== '')
      .toSorted();
  }

  watch(...command: readonly string[]): Watch {
    const started = watch(this.netns.name, command);
    this.#watches.push(started);
    return started;
  }

  async remove(): Promise<void> {
    for (const started of this.#watches) await started.stop();
    this.reconciler.close();
    this.#announcements.close();
    this.session.close();
    this.netns.remove();
  }
}
