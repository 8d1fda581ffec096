import * as k from '../netlink/constants.ts';
import type { RouteNotification } from '../netlink/route/notification.ts';
import type { AsyncSession } from '../netlink/session.ts';
import type { Listening } from '../netlink/announcements.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Ownership, Part } from './desired.ts';
import { type Difference, diff, linkKey } from './diff.ts';
import { Execution } from './execution.ts';
import { Mirror } from './mirror.ts';
import type { KernelObject, ObjectKey } from './object.ts';
import { describe, type Operation, textOf } from './operation.ts';
import { isOurs } from './ownership.ts';
import type { Report } from './report.ts';
import { Standing } from './standing.ts';
import { survey, surveyTunnels } from './survey.ts';
import type { Tunnels } from './tunnels.ts';
import { unmadeLinks } from './unmade-link.ts';
import { Wanted } from './wanted.ts';

/** Milliseconds between two comparisons of everything when nothing else asks for one. */
const auditEvery = 60_000;
/** The same for what WireGuard devices hold: nobody tells of changes in them. */
const tunnelAuditEvery = 5000;
/** After the kernel could not be read or written, in milliseconds. */
const tryAgainAfter = 1000;
/** Repairs of one step that the log names one by one. */
const namedRepairs = 10;

export interface ReconcilerWorld {
  readonly session: Pick<AsyncSession, 'batch' | 'dump' | 'request'>;
  /** Starts to listen to the {@link file://./groups.ts groups} of the namespace that `session` works in. */
  readonly subscribe: (
    onMessage: (message: RouteNotification) => void,
    onLost: (why: Error) => void,
  ) => Listening;
  /** Where there can be WireGuard devices. */
  readonly tunnels?: Tunnels;
  readonly clock: Clock;
  readonly log: Log;
  /** After every step that changed something, or failed to. */
  readonly onReport?: (report: Report) => void;
  /** A desired link is there: made just now, or found when the kernel was read. For what netlink cannot set on it. */
  readonly onLink?: (name: string) => void;
  /** Looks and compares, and changes nothing: {@link Reconciler.plan} says what it would do. */
  readonly dryRun?: boolean;
}

/**
 * Keeps the kernel as it is desired. There is one way to work: some keys are dirty, or everything is; compare, and
 * send the difference in one batch. New desired state, notifications, lost notifications and the slow audit differ
 * only in what they make dirty.
 */
export class Reconciler {
  readonly #world: ReconcilerWorld;
  readonly #wanted = new Wanted();
  readonly #standing = new Standing();
  readonly #dirty = new Set<ObjectKey>();
  #ownership: Ownership = { links: new Set(), networks: [], isFlannelRoute: () => false };
  /** Links that ours stand on. */
  #lowers: ReadonlySet<string> = new Set();
  #mirror: Mirror;
  /** The mirror cannot be trusted: read the kernel anew and compare everything. */
  #stale = true;
  /** WireGuard devices may have changed: read them. */
  #tunnelsStale = false;
  /** Every key is dirty. */
  #allDirty = false;
  /** Notifications that come while the kernel is read. */
  #late: RouteNotification[] | undefined;
  /** All parts are there: what is not among them may go. */
  #complete = false;
  /** All was in place once: what has to be done from then on is repair. */
  #settledOnce = false;
  #lastAudit: number | undefined;
  #working = false;
  #closed = false;
  #subscription: Listening | undefined;
  #waiting: ((report: Report) => void)[] = [];
  #waitingForParts: { readonly part: Part; readonly resolve: () => void }[] = [];
  #cancelAudit: (() => void) | undefined;
  #cancelTunnelAudit: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;

  constructor(world: ReconcilerWorld) {
    this.#world = world;
    this.#mirror = this.#emptyMirror();
  }

  /** Listens, and reads the kernel for the first time. Rejects with a NetlinkError when that cannot be done. */
  async start(): Promise<void> {
    this.#subscription = this.#world.subscribe(
      (message) => this.#notice(message),
      (why) => this.#lost(why),
    );
    this.#working = true;
    try {
      await this.#survey();
      this.#allDirty = true;
    } finally {
      this.#working = false;
    }
    this.#schedule();
  }

  own(ownership: Ownership): void {
    this.#ownership = ownership;
    this.#stale = true;
    this.#schedule();
  }

  setPart(part: Part, objects: readonly KernelObject[]): void {
    this.#desire(this.#wanted.set(part, objects));
  }

  removePart(part: Part): void {
    this.#desire(this.#wanted.remove(part));
  }

  /** These parts and no others: from now on what is ours and not among them is removed. */
  replaceParts(parts: ReadonlyMap<Part, readonly KernelObject[]>): void {
    if (!this.#complete) this.#allDirty = true;
    this.#complete = true;
    // What stood in the place of objects that nobody wanted yet was passed over; a write would find out.
    if (this.#world.dryRun === true) this.#stale = true;
    this.#desire(this.#wanted.replaceAll(parts));
    this.#schedule();
  }

  /** Resolves when nothing is left to do but what has to wait, after at least one comparison with everything. */
  settled(): Promise<Report> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#closed) this.#answer();
      else this.#schedule();
    });
  }

  /** Resolves when every object of the part is in place, or after {@link close}. */
  inPlace(part: Part): Promise<void> {
    return new Promise((resolve) => {
      this.#waitingForParts.push({ part, resolve });
      if (this.#closed) this.#answer();
      else this.#schedule();
    });
  }

  /** What keeps objects of the part from their places, in sentences for people. */
  obstacles(part: Part): string[] {
    return this.#wanted.keysOf(part).flatMap((key) => this.#standing.obstacle(key) ?? []);
  }

  report(): Report {
    const rivals = [...this.#wanted.rivals].flatMap(([key, waiting]) =>
      waiting.map(({ part, object }) => ({
        what: `${part}: ${textOf(object)}`,
        why: `${key} is claimed by another one, which was first; two nodes must not claim the same`,
      })),
    );
    return {
      wanted: this.#wanted.objects.size,
      objects: this.#wanted.objects.size - this.#standing.missing,
      failed: [...this.#standing.failed(), ...rivals],
      foreign: this.#standing.foreign(),
      repairs: this.#standing.repairs,
      lastAudit: this.#lastAudit,
    };
  }

  /** What would be done if everything were compared now. */
  plan(): readonly Operation[] {
    return this.#compare(undefined).operations;
  }

  /** Leaves the kernel as it is. */
  close(): void {
    this.#closed = true;
    this.#cancelAudit?.();
    this.#cancelTunnelAudit?.();
    this.#cancelRetry?.();
    this.#subscription?.close();
    this.#answer();
  }

  // What makes keys dirty

  #desire(changed: readonly ObjectKey[]): void {
    for (const key of changed) {
      this.#standing.renew(key);
      this.#dirty.add(key);
    }
    if (changed.some((key) => key.startsWith('link '))) this.#lowers = lowersOf(this.#wanted);
    if (changed.length > 0) this.#schedule();
  }

  #notice(message: RouteNotification): void {
    this.#late?.push(message);
    const change = this.#mirror.take(message);
    // With another address there may be another way to a gateway.
    if (message.type === k.RTM_NEWADDR) for (const key of this.#standing.retryAll()) this.#dirty.add(key);
    else if (change === undefined) return;
    if (change === 'everything') {
      this.#stale = true;
      // A link that is not ours came, went, or woke up: what failed for want of it may succeed.
      const { IFLA_IFNAME } = message.type === k.RTM_NEWLINK ? message.value : {};
      if (IFLA_IFNAME !== undefined && !this.#ownership.links.has(IFLA_IFNAME)) this.#standing.retryAll();
    } else if (change !== undefined) this.#dirty.add(change);
    this.#schedule();
  }

  #lost(why: Error): void {
    this.#world.log.debug({ why: why.message }, 'notifications were lost: everything is compared');
    this.#stale = true;
    this.#schedule();
  }

  #retry(): void {
    for (const key of this.#standing.due(this.#world.clock.monotonic())) this.#dirty.add(key);
    this.#schedule();
  }

  // The one way to work

  #schedule(): void {
    if (this.#working || this.#closed || this.#subscription === undefined) return;
    this.#working = true;
    queueMicrotask(() => void this.#work());
  }

  async #work(): Promise<void> {
    try {
      while (!this.#closed && this.#hasWork()) await this.#step();
    } catch (error) {
      this.#tryAgain(error);
      return;
    } finally {
      this.#working = false;
    }
    this.#retryLater();
    this.#settledOnce ||= this.#complete;
    this.#answer();
  }

  #hasWork(): boolean {
    return this.#stale || this.#tunnelsStale || this.#allDirty || this.#dirty.size > 0;
  }

  async #step(): Promise<void> {
    if (this.#stale) {
      await this.#survey();
      this.#allDirty = true;
    } else if (this.#tunnelsStale) await this.#surveyTunnels();
    const scope = this.#takeDirty();
    const difference = this.#compare(scope);
    this.#standing.compared(scope, difference);
    if (this.#world.dryRun === true) return;
    const now = this.#world.clock.monotonic();
    const operations = this.#standing.allowed(difference.operations, now, this.#settledOnce);
    if (operations.length === 0) return;
    await this.#carryOut(operations);
    this.#world.onReport?.(this.report());
  }

  async #survey(): Promise<void> {
    this.#stale = false;
    const late: RouteNotification[] = [];
    this.#late = late;
    const mirror = this.#emptyMirror();
    try {
      await survey(this.#world.session, mirror, this.#ownership.links, this.#world.tunnels);
    } finally {
      this.#late = undefined;
    }
    this.#mirror = mirror;
    // What happened meanwhile is told once more: the order of the kernel's words decides.
    for (const message of late) {
      const change = mirror.take(message);
      if (change === 'everything') this.#stale = true;
    }
    this.#auditTunnelsLater();
    if (this.#world.dryRun !== true) this.#tellLinks(mirror);
    this.#lastAudit = this.#world.clock.now();
    this.#cancelAudit?.();
    this.#cancelAudit = this.#world.clock.after(auditEvery, () => {
      this.#stale = true;
      this.#schedule();
    });
  }

  async #surveyTunnels(): Promise<void> {
    const { tunnels } = this.#world;
    if (tunnels === undefined) return;
    this.#auditTunnelsLater();
    for (const key of await surveyTunnels(tunnels, this.#mirror, this.#ownership.links)) this.#dirty.add(key);
  }

  #auditTunnelsLater(): void {
    const { tunnels, clock } = this.#world;
    this.#tunnelsStale = false;
    this.#cancelTunnelAudit?.();
    if (tunnels === undefined) return;
    this.#cancelTunnelAudit = clock.after(tunnelAuditEvery, () => {
      this.#tunnelsStale = true;
      this.#schedule();
    });
  }

  #tellLinks(mirror: Mirror): void {
    for (const name of this.#ownership.links) {
      const key = linkKey(name);
      if (mirror.objects.has(key) && this.#wanted.objects.has(key)) this.#world.onLink?.(name);
    }
  }

  /** Undefined: all. */
  #takeDirty(): ReadonlySet<ObjectKey> | undefined {
    const keys = new Set(this.#dirty);
    const all = this.#allDirty;
    this.#dirty.clear();
    this.#allDirty = false;
    if (all) return undefined;
    const links = [...keys].filter((key) => key.startsWith('link '));
    if (links.length === 0) return keys;
    // What is on a link that comes, goes or is made anew comes and goes with it.
    const { operations } = this.#compare(links);
    return operations.some(({ verb }) => verb !== 'change') ? undefined : keys;
  }

  #compare(keys: Iterable<ObjectKey> | undefined): Difference {
    const scope = { removals: this.#complete, ...(keys === undefined ? {} : { keys }) };
    return diff(this.#wanted.objects, this.#mirror.objects, this.#ownership, scope);
  }

  async #carryOut(operations: readonly Operation[]): Promise<void> {
    const execution = new Execution(
      this.#world.session,
      this.#mirror,
      this.#ownership.links,
      () => this.#subscription?.read(),
      this.#world.tunnels,
    );
    // But for the log: where the kernel does not tell, all is done without it.
    const unmade = await unmadeLinks(this.#world.session, operations).catch(
      () => new Map<Operation, string>(),
    );
    const { done, failures } = await execution.run(operations);
    const now = this.#world.clock.monotonic();
    for (const { object, verb } of done)
      if (object.kind === 'link' && (verb === 'add' || verb === 'replace')) this.#world.onLink?.(object.name);
    this.#tell(done, unmade);
    for (const operation of done) this.#standing.succeeded(operation, this.#settledOnce);
    for (const failure of failures) {
      if (failure.surprising) this.#stale = true;
      if (this.#standing.failedAt(failure, now)) this.#world.log.warn({}, failure.why);
    }
  }

  #tell(done: readonly Operation[], unmade: ReadonlyMap<Operation, string>): void {
    const { log } = this.#world;
    for (const operation of done) {
      const sentence = unmade.get(operation);
      if (sentence !== undefined) log.warn({}, sentence);
    }
    const repairs = this.#settledOnce ? done.filter((operation) => this.#standing.isRepair(operation)) : [];
    for (const operation of repairs.slice(0, namedRepairs)) log.warn({}, `repaired: ${describe(operation)}`);
    if (repairs.length > namedRepairs) log.warn({}, `repaired ${repairs.length - namedRepairs} more objects`);
    log.debug({ operations: done.length, repairs: repairs.length }, 'the kernel was changed');
  }

  #tryAgain(error: unknown): void {
    if (this.#closed) return;
    this.#world.log.error(
      { error },
      'the kernel could not be read or written; it is tried again in a second',
    );
    this.#stale = true;
    this.#cancelRetry?.();
    this.#cancelRetry = this.#world.clock.after(tryAgainAfter, () => this.#schedule());
  }

  #retryLater(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    const next = this.#standing.nextRetry();
    if (next === undefined) return;
    // A timer may be early by a fraction of a millisecond, and then it is set again.
    const wait = Math.max(1, next - this.#world.clock.monotonic());
    this.#cancelRetry = this.#world.clock.after(wait, () => this.#retry());
  }

  #answer(): void {
    const isReady = ({ part }: { readonly part: Part }): boolean =>
      this.#closed || !this.#wanted.keysOf(part).some((key) => this.#standing.isMissing(key));
    const ready = this.#waitingForParts.filter(isReady);
    this.#waitingForParts = this.#waitingForParts.filter((each) => !ready.includes(each));
    for (const { resolve } of ready) resolve();
    const waiting = this.#waiting.splice(0);
    if (waiting.length === 0) return;
    const report = this.report();
    for (const resolve of waiting) resolve(report);
  }

  #emptyMirror(): Mirror {
    return new Mirror({
      wanted: (key) => this.#wanted.objects.get(key),
      isOurs: (object) => isOurs(object, this.#ownership),
      isOurLink: (name) => this.#ownership.links.has(name),
      isLower: (name) => this.#lowers.has(name),
    });
  }
}

function lowersOf({ objects }: Wanted): ReadonlySet<string> {
  const lowers = new Set<string>();
  for (const object of objects.values())
    if (object.kind === 'link' && 'lower' in object.info) lowers.add(object.info.lower);
  return lowers;
}
