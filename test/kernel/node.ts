import { loadBinding } from '../../native/binding.ts';
import type { Ownership } from '../../src/kernel/desired.ts';
import { groups } from '../../src/kernel/groups.ts';
import { Reconciler, type ReconcilerWorld } from '../../src/kernel/reconciler.ts';
import { prefix } from '../../src/net/prefix.ts';
import { AsyncSession } from '../../src/netlink/session.ts';
import { openSocket } from '../../src/netlink/socket.ts';
import { subscribe } from '../../src/netlink/subscription.ts';
import { systemClock } from '../../src/world/clock.ts';
import { silentLog } from '../../src/world/log.ts';
import { createNetns, type Netns } from '../kit/netns.ts';
import { type Watch, watch } from './watch.ts';

const binding = loadBinding();

export const podNetworks = [prefix('10.244.0.0/16'), prefix('fd00:10:244::/56')];

export const ownership: Ownership = {
  links: new Set(['flannel.1', 'flannel-v6.1']),
  networks: podNetworks,
  isFlannelRoute: (destination) => destination.startsWith('10.244.'),
};

/** A namespace with an interface to other nodes, and a reconciler that works in it. */
export class TestNode {
  readonly netns: Netns;
  readonly session: AsyncSession;
  readonly reconciler: Reconciler;
  readonly #watches: Watch[] = [];

  constructor(options: Pick<ReconcilerWorld, 'dryRun'> = {}) {
    this.netns = createNetns();
    this.session = new AsyncSession(openSocket(binding, { netnsFd: this.netns.fd }), systemClock);
    this.reconciler = new Reconciler({
      session: this.session,
      subscribe: (onMessage, onLost) =>
        subscribe(openSocket(binding, { netnsFd: this.netns.fd, groups }), onMessage, onLost),
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
    this.session.close();
    this.netns.remove();
  }
}
