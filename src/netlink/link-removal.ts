import * as k from './constants.ts';
import { NetlinkError } from './error.ts';
import type { Announcements } from './announcements.ts';
import { delLink, getLink, setLink } from './route/link.ts';
import type { RouteNotification } from './route/notification.ts';
import { Sequence } from './sequence.ts';
import type { AsyncSession } from './session.ts';
import { isOverrun, type NetlinkSocket } from './socket.ts';
import type { Subscription } from './subscription.ts';
import { Batch } from './transaction.ts';

const ECANCELED = 125;
/** Threads of the addon, each of which may wait for RCU: one send each. */
const sendsAtOnce = 16;
/** A send whose answer was lost is repeated, alone; a link that is gone meanwhile says so. */
const attempts = 3;
/** IFLA_GROUP numbers that are ours to use: "FL" and 16 bits. */
const groups = { first: 0x464c_0000, count: 0x1_0000 };

interface Removal {
  readonly ifindex: number;
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: unknown): void;
  /** Sends of its own that failed. */
  failures: number;
  /** It is in a group of ours, and should leave it again if it stays. */
  grouped: boolean;
}

/**
 * Removes links without waiting for what the kernel does afterwards. RTM_DELLINK sleeps some 20 ms in
 * rcu_barrier() when the link is long gone, so it is sent on threads, and a removal is over with the
 * kernel's announcement (or with the acknowledgement, whichever comes first). Links that queue up
 * meanwhile share one barrier: they are put into one IFLA_GROUP and removed by one message.
 */
export class LinkRemover {
  readonly #sender: NetlinkSocket;
  readonly #announcements: Pick<Announcements, 'promptly'>;
  readonly #subscription: Subscription;
  readonly #sequence = new Sequence();
  readonly #removals = new Map<number, Removal>();
  readonly #outstanding = new Set<Batch>();
  #waiting: Removal[] = [];
  #alone: Removal[] = [];
  #scheduled = false;
  #sends = 0;
  #nextGroup = 0;
  /** Groups of our range that links are in already; unknown until the kernel was asked. */
  #groupsInUse: ReadonlySet<number> | undefined;
  /** Announcements come without delay until it is called. */
  #notPromptly: (() => void) | undefined;
  #closed = false;

  /**
   * @param sender a socket that is used for nothing else
   * @param announcements those of links are needed
   * @param session in the same namespace, to ask which groups are in use
   */
  constructor(
    sender: NetlinkSocket,
    announcements: Pick<Announcements, 'subscribe' | 'promptly'>,
    session: Pick<AsyncSession, 'dump'>,
  ) {
    this.#sender = sender;
    sender.onReadable(() => this.#readAnswers());
    // Lost announcements need no care: the acknowledgement comes, some milliseconds later.
    this.#announcements = announcements;
    this.#subscription = announcements.subscribe(
      (message) => this.#announced(message),
      () => {},
    );
    void this.#learnGroups(session);
  }

  /**
   * Resolves when the link is gone, also when it was gone before. Rejects with a NetlinkError when the
   * kernel refuses to remove it.
   */
  remove(ifindex: number): Promise<void> {
    if (this.#closed) return Promise.reject(canceled());
    const known = this.#removals.get(ifindex);
    if (known !== undefined) return known.promise;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#notPromptly ??= this.#announcements.promptly();
    const removal = { ifindex, promise, resolve, reject, failures: 0, grouped: false };
    this.#removals.set(ifindex, removal);
    this.#waiting.push(removal);
    this.#schedule();
    return promise;
  }

  /** Rejects what is pending, with ECANCELED. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#subscription.close();
    this.#sender.close();
    for (const removal of this.#removals.values()) removal.reject(canceled());
    this.#removals.clear();
    this.#waitsNoMore();
  }

  /** What is asked for in the same turn goes out together. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    while (this.#sends < sendsAtOnce && !this.#closed) {
      const removals = this.#takeNext();
      if (removals.length === 0) return;
      void this.#send(removals);
    }
  }

  /** The links of the next send: one, or all that wait when they can be grouped. */
  #takeNext(): Removal[] {
    const single = this.#alone.shift();
    if (single !== undefined) return [single];
    if (this.#groupsInUse === undefined) return this.#waiting.splice(0, 1);
    return this.#waiting.splice(0);
  }

  async #send(removals: Removal[]): Promise<void> {
    const batch = this.#batch(removals);
    this.#sends++;
    this.#outstanding.add(batch);
    try {
      await this.#sender.sendThreaded(batch.bytes);
      this.#readAnswers();
      // The kernel answers within send(2): what has not come by now was lost.
      if (this.#outstanding.has(batch)) batch.lost();
      this.#conclude(removals, batch.result());
    } catch (error) {
      for (const removal of removals) this.#settle(removal, error);
    } finally {
      this.#outstanding.delete(batch);
      this.#sends--;
      this.#pump();
    }
  }

  #batch(removals: Removal[]): Batch {
    const [only] = removals;
    if (removals.length === 1 && only !== undefined) {
      return new Batch([delLink({ ifi_index: only.ifindex })], this.#sequence.take(1));
    }
    const IFLA_GROUP = this.#takeGroup();
    for (const removal of removals) removal.grouped = true;
    const intoGroup = removals.map(({ ifindex }) => setLink({ ifi_index: ifindex, IFLA_GROUP }));
    return new Batch([...intoGroup, delLink({ IFLA_GROUP })], this.#sequence.take(removals.length + 1));
  }

  #takeGroup(): number {
    for (;;) {
      const group = groups.first + this.#nextGroup;
      this.#nextGroup = (this.#nextGroup + 1) % groups.count;
      if (this.#groupsInUse?.has(group) !== true) return group;
    }
  }

  /** The last outcome is the removal's; those before it tell who could not be put into the group. */
  #conclude(removals: readonly Removal[], outcomes: readonly (NetlinkError | undefined)[]): void {
    const removed = outcomes.at(-1);
    for (const [i, removal] of removals.entries()) {
      const error = (outcomes.length > 1 ? outcomes[i] : undefined) ?? removed;
      if (error === undefined || error.code === 'ENODEV') this.#settle(removal);
      else if (outcomes.length > 1) this.#retry(removal);
      else if (++removal.failures < attempts && error.code === 'ENOBUFS') this.#retry(removal);
      else this.#settle(removal, error);
    }
  }

  #retry(removal: Removal): void {
    if (this.#removals.get(removal.ifindex) === removal) this.#alone.push(removal);
  }

  #settle(removal: Removal, error?: unknown): void {
    if (this.#removals.get(removal.ifindex) !== removal) return;
    this.#removals.delete(removal.ifindex);
    if (this.#removals.size === 0) this.#waitsNoMore();
    if (error === undefined) removal.resolve();
    else {
      removal.reject(error);
      if (removal.grouped) this.#leaveGroup(removal);
    }
  }

  #waitsNoMore(): void {
    this.#notPromptly?.();
    this.#notPromptly = undefined;
  }

  /** A link that stays must not go with the next one that gets the same number. */
  #leaveGroup({ ifindex }: Removal): void {
    const batch = new Batch([setLink({ ifi_index: ifindex, IFLA_GROUP: 0 })], this.#sequence.take(1));
    this.#sender.sendThreaded(batch.bytes).catch(() => {});
  }

  #announced({ type, value }: RouteNotification): void {
    if (type !== k.RTM_DELLINK) return;
    const removal = this.#removals.get(value.ifi_index);
    if (removal !== undefined) this.#settle(removal);
  }

  #readAnswers(): void {
    while (!this.#closed) {
      try {
        const datagram = this.#sender.receive();
        if (datagram === undefined) return;
        for (const batch of this.#outstanding) if (batch.accept(datagram)) this.#outstanding.delete(batch);
      } catch (error) {
        if (!isOverrun(error)) throw error;
        for (const batch of this.#outstanding) batch.lost();
      }
    }
  }

  async #learnGroups(session: Pick<AsyncSession, 'dump'>): Promise<void> {
    const links = await session.dump(getLink()).catch(() => undefined);
    // Without an answer links go one by one, which is slower and as good.
    this.#groupsInUse = links && new Set(links.map((link) => link.IFLA_GROUP ?? 0));
  }
}

const canceled = (): NetlinkError => new NetlinkError('RTM_DELLINK: the remover is closed', ECANCELED);
