import type { AsyncSession } from '../netlink/session.ts';
import type { ActualObject } from './actual.ts';
import { apply, type Failure, readLink } from './apply.ts';
import { linkKey } from './diff.ts';
import type { Mirror } from './mirror.ts';
import type { Link } from './object.ts';
import { type Operation, unmakesLink } from './operation.ts';
import { isOfTunnel, type Tunnels } from './tunnels.ts';

/** Operations turned into messages at once: some 32 KiB, so that thousands need no more memory than these. */
const sliceSize = 350;

export interface Outcome {
  readonly done: readonly Operation[];
  readonly failures: readonly Failure[];
}

/**
 * Carries out operations, and keeps the mirror with them: the kernel's echo then tells nothing new. Links come first
 * and by themselves: what is on them is named by an index, which a new link gets from the kernel.
 */
export class Execution {
  readonly #session: Pick<AsyncSession, 'batch' | 'request'>;
  readonly #mirror: Mirror;
  readonly #ourLinks: ReadonlySet<string>;
  readonly #tunnels: Tunnels | undefined;
  readonly #catchUp: () => void;
  readonly #done: Operation[] = [];
  readonly #failures: Failure[] = [];

  /** @param catchUp tells the mirror what has been announced by now */
  constructor(
    session: Pick<AsyncSession, 'batch' | 'request'>,
    mirror: Mirror,
    ourLinks: ReadonlySet<string>,
    catchUp: () => void,
    tunnels?: Tunnels,
  ) {
    this.#session = session;
    this.#mirror = mirror;
    this.#ourLinks = ourLinks;
    this.#catchUp = catchUp;
    this.#tunnels = tunnels;
  }

  /** Throws a NetlinkError when the socket itself does not work. */
  async run(operations: readonly Operation[]): Promise<Outcome> {
    const last = operations.findLastIndex(({ object }) => object.kind === 'link');
    const links = operations.slice(0, last + 1);
    await this.#send(links.filter((operation) => !isMadeByProcess(operation)));
    // What was told of a link before it went is of another number under that name.
    if (last !== -1) this.#catchUp();
    for (const operation of links) {
      if (isMadeByProcess(operation)) await this.#makeTunnel(operation);
      await this.#lookAtLink(operation);
    }
    // The kernel's announcements of a new link are read before there is anything on it: then they mean no loss.
    if (last !== -1) this.#catchUp();
    const rest = operations.slice(last + 1).filter((operation) => this.#hasItsLink(operation));
    const tunnels = this.#tunnels;
    if (tunnels !== undefined)
      await this.#sendSlice(rest.filter(isOfTunnel), (operations) => tunnels.write(operations));
    await this.#send(rest.filter((operation) => !isOfTunnel(operation)));
    return { done: this.#done, failures: this.#failures };
  }

  async #send(operations: readonly Operation[]): Promise<void> {
    for (let i = 0; i < operations.length; i += sliceSize)
      await this.#sendSlice(operations.slice(i, i + sliceSize), (slice) =>
        apply(this.#session, this.#mirror.names, slice),
      );
  }

  async #sendSlice(
    operations: readonly Operation[],
    carryOut: (operations: readonly Operation[]) => Promise<Failure[]>,
  ): Promise<void> {
    if (operations.length === 0) return;
    const before = operations.map((operation) => this.#expect(operation));
    const failures = await carryOut(operations);
    const failed = new Set(failures.map(({ operation }) => operation));
    for (const [i, operation] of operations.entries()) {
      if (!failed.has(operation)) this.#done.push(operation);
      else this.#mirror.put(operation.key, before[i] ?? []);
    }
    this.#failures.push(...failures);
  }

  /** wireguard-go makes its own device, which then gets the MTU that it should have, and is set up. */
  async #makeTunnel(operation: MadeByProcess): Promise<void> {
    const { key, object } = operation;
    if (operation.verb === 'replace') {
      const removal = { key, verb: 'remove', object: operation.was } as const;
      this.#failures.push(...(await apply(this.#session, this.#mirror.names, [removal])));
    }
    const failures = (await this.#tunnels?.make(operation)) ?? [];
    if (failures.length === 0) await this.#lookAtLink(operation);
    const was = this.#mirror.objects.get(key)?.[0];
    if (was?.kind === 'link') {
      const change = { key, verb: 'change', object, was } as const;
      failures.push(...(await apply(this.#session, this.#mirror.names, [change])));
    }
    if (failures.length === 0) this.#done.push(operation);
    this.#failures.push(...failures);
  }

  /** Writes down what will be when it succeeds; answers what was. */
  #expect(operation: Operation): readonly ActualObject[] {
    const { key, object } = operation;
    const before = this.#mirror.objects.get(key) ?? [];
    if (object.kind !== 'link') this.#mirror.put(key, after(operation, before));
    return before;
  }

  async #lookAtLink(operation: Operation): Promise<void> {
    const { object } = operation;
    if (object.kind !== 'link') return;
    if (unmakesLink(operation)) this.#mirror.forgetOn(object.name);
    const message = await readLink(this.#session, object.name);
    if (message === undefined) this.#mirror.put(linkKey(object.name), []);
    else this.#mirror.addLink(message);
  }

  #hasItsLink({ object }: Operation): boolean {
    if (object.kind === 'link' || object.link === undefined || !this.#ourLinks.has(object.link)) return true;
    return this.#mirror.objects.has(linkKey(object.link));
  }
}

type MadeByProcess = Extract<Operation, { verb: 'add' | 'replace' }> & { readonly object: Link };

function isMadeByProcess(operation: Operation): operation is MadeByProcess {
  const { verb, object } = operation;
  if (verb === 'remove' || verb === 'change' || object.kind !== 'link') return false;
  return object.info.kind === 'wireguard' && object.info.userspace;
}

function after(operation: Operation, before: readonly ActualObject[]): readonly ActualObject[] {
  const { object, verb } = operation;
  if (verb === 'remove') return before.filter((other) => other !== object);
  if (object.kind === 'link') return before;
  // The kernel chooses the link, and tells: until then the key is not dirty.
  if (object.kind === 'route' && object.link === undefined) return [];
  const kept = verb === 'replace' ? before.filter((other) => other !== operation.was) : before;
  return [object, ...kept];
}
