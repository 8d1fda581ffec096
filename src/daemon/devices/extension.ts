import path from 'node:path';
import {
  type Given,
  type GivenPeers,
  givenNode,
  givenPeer,
  isSameGiven,
  nextStep,
  type PeerStep,
} from '../../backend/extension.ts';
import { extensionKeys, type ExtensionOptions, extensionOptions } from '../../backend/extension-options.ts';
import { foldKeys } from '../../json/go-json.ts';
import type { Lease, PodNetwork, Refusal } from '../../lease/lease.ts';
import { type Clock, systemClock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import { type CommandOutcome, type RunCommand, shellCommand } from './command.ts';
import { type ExtensionMemory, extensionMemory } from './extension-memory.ts';
import type { NetworkConfig } from '../network/network-config.ts';

export interface ExtensionWorld {
  readonly run: RunCommand;
  readonly memory: ExtensionMemory;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Milliseconds: what a command may take; after a second failure the first wait, doubled each time up to the longest.
 */
const limit = 30_000;
const firstWait = 1000;
const longestWait = 60_000;
/** How often a command that takes leave of a peer is tried: what it would remove may be gone already. */
const farewells = 3;

interface Hold {
  readonly until: number;
  readonly tries: number;
  readonly reason: string;
}

/** A startup command failed: its key, how it ended, what it said. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/**
 * Runs the extension backend's commands, one at a time. Level-triggered: which peers were added is kept, also while
 * flanneld is down, and compared with those there are now. So each command runs once for a peer that comes or goes,
 * whenever that happened. One that fails is tried again, an add after it was taken back, and delays no other peer's.
 */
export class Extension {
  readonly #options: ExtensionOptions;
  readonly #network: PodNetwork;
  readonly #world: ExtensionWorld;
  readonly #holds = new Map<string, Hold>();
  #added = new Map<string, Given>();
  /** Added before the startup commands ran, which may have made this node's side anew. */
  readonly #doubtful = new Set<string>();
  #wanted: GivenPeers = new Map();
  #complete = false;
  #own: Lease | undefined;
  /** This node's side exists, and who was added before is known: peers' commands run only from then on. */
  #begun = false;
  #data: string | undefined;
  #working = false;
  /** What runs commands now, or did last: all of a startup command, or of the steps for peers. */
  #running: Promise<unknown> = Promise.resolve();
  #stopped = false;
  #cancelRetry: (() => void) | undefined;

  constructor(options: ExtensionOptions, network: PodNetwork, world: ExtensionWorld) {
    this.#options = options;
    this.#network = network;
    this.#world = world;
  }

  /** PreStartupCommand's output, for the lease; undefined without one. */
  get data(): string | undefined {
    return this.#data;
  }

  /** Peers whose commands fail. */
  get refusals(): Refusal[] {
    return [...this.#holds].map(([id, { reason }]) => ({ id, reason }));
  }

  /** Rejects with a {@link CommandError}. */
  async prepare(): Promise<void> {
    const { preStartup } = this.#options;
    if (preStartup === '') return;
    this.#data = await this.#startup('PreStartupCommand', preStartup, { environment: {}, input: '' });
  }

  /** This node has its lease. From now on peers are added and removed. Rejects with a {@link CommandError}. */
  async begin(own: Lease): Promise<void> {
    const { preStartup, postStartup } = this.#options;
    this.#own = own;
    const given = givenNode(this.#network, own);
    if (postStartup !== '') await this.#startup('PostStartupCommand', postStartup, given);
    this.#added = new Map(this.#world.memory.load());
    if (preStartup !== '' || postStartup !== '') for (const id of this.#added.keys()) this.#doubtful.add(id);
    this.#begun = true;
    this.#kick();
  }

  /** This node's lease is another one now, which ShutdownCommand will hear of. */
  renew(own: Lease): void {
    if (this.#own !== undefined) this.#own = own;
  }

  /** These are the peers; `complete` when there are no others. */
  keep(peers: readonly Lease[], complete: boolean): void {
    this.#wanted = new Map(peers.map((lease) => [lease.id, givenPeer(lease)]));
    this.#complete = complete;
    for (const id of this.#holds.keys())
      if (!this.#wanted.has(id) && !this.#added.has(id)) this.#holds.delete(id);
    this.#kick();
  }

  /** Waits for what runs, a failed add being taken back as well, then runs ShutdownCommand. Never rejects. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRetry?.();
    await this.#running;
    const { shutdown } = this.#options;
    if (shutdown === '' || this.#own === undefined) return;
    const outcome = await this.#run(shutdown, givenNode(this.#network, this.#own));
    if (outcome.failure !== undefined) this.#world.log.error({}, sentence('ShutdownCommand', outcome));
    // What the commands made is taken down: everybody is new at the next start.
    this.#added.clear();
    this.#save();
  }

  async #startup(key: string, line: string, given: Given): Promise<string> {
    const running = this.#run(line, given);
    this.#running = running;
    const outcome = await running;
    if (outcome.failure !== undefined) throw new CommandError(sentence(key, outcome));
    return outcome.output;
  }

  #run(line: string, given: Given): Promise<CommandOutcome> {
    return this.#world.run(line, { ...given, limit });
  }

  #kick(): void {
    if (!this.#begun || this.#stopped || this.#working) return;
    this.#working = true;
    this.#running = this.#work();
  }

  /** Never rejects. */
  async #work(): Promise<void> {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    for (let step = this.#next(); step !== undefined; step = this.#next()) {
      await this.#take(step);
      this.#save();
    }
    this.#working = false;
    this.#retryLater();
  }

  #next(): PeerStep | undefined {
    if (this.#stopped) return undefined;
    this.#settleDoubts();
    const now = this.#world.clock.monotonic();
    const mayTry = (id: string) => (this.#holds.get(id)?.until ?? 0) <= now;
    return nextStep(this.#added, this.#wanted, { complete: this.#complete, mayTry });
  }

  /** Those that are still there are added anew; the others are removed like any that went. */
  #settleDoubts(): void {
    for (const id of this.#doubtful) {
      const [before, now] = [this.#added.get(id), this.#wanted.get(id)];
      if (now === undefined) continue;
      this.#doubtful.delete(id);
      if (before !== undefined && isSameGiven(before, now)) this.#added.delete(id);
    }
  }

  async #take({ does, id, given }: PeerStep): Promise<void> {
    const adds = does === 'add';
    const line = adds ? this.#options.subnetAdd : this.#options.subnetRemove;
    const outcome = line === '' ? { output: '' } : await this.#run(line, given);
    if (outcome.failure === undefined) {
      this.#holds.delete(id);
      this.#done(does, id, given);
      this.#world.log.debug({ node: id, does, output: outcome.output }, 'a command of the extension has run');
      return;
    }
    // It may have done half of its work, or all of it before a restart: what is left would be in its own way.
    const { subnetRemove } = this.#options;
    if (adds && subnetRemove !== '') await this.#run(subnetRemove, given);
    this.#failed({ does, id, given }, outcome);
  }

  #done(does: PeerStep['does'], id: string, given: Given): void {
    if (does === 'add') this.#added.set(id, given);
    else this.#added.delete(id);
  }

  #failed({ does, id, given }: PeerStep, outcome: CommandOutcome): void {
    const { log, clock } = this.#world;
    const tries = (this.#holds.get(id)?.tries ?? 0) + 1;
    const reason = sentence(does === 'add' ? 'SubnetAddCommand' : 'SubnetRemoveCommand', outcome);
    if (does === 'remove' && tries >= farewells) {
      log.error({ node: id }, `${reason}; it is not tried again: look at what is left of ${id}`);
      this.#holds.delete(id);
      this.#done(does, id, given);
      return;
    }
    if (tries > 1) log.warn({ node: id }, reason);
    const wait = tries === 1 ? 0 : Math.min(firstWait * 2 ** (tries - 2), longestWait);
    this.#holds.set(id, { until: clock.monotonic() + wait, tries, reason });
  }

  #retryLater(): void {
    const next = Math.min(...[...this.#holds.values()].map(({ until }) => until));
    if (this.#stopped || !Number.isFinite(next)) return;
    const { clock } = this.#world;
    this.#cancelRetry = clock.after(Math.max(1, next - clock.monotonic()), () => this.#kick());
  }

  #save(): void {
    try {
      this.#world.memory.save(this.#added);
    } catch (error) {
      this.#world.log.warn({}, `cannot save which peers were added: ${(error as Error).message}`);
    }
  }
}

/** Undefined for every other backend. Throws a BackendError. */
export function openExtension(
  { backendType, backend, network }: NetworkConfig,
  outside: { stateDirectory: string; environment: NodeJS.ProcessEnv; log: Log },
): Extension | undefined {
  if (backendType !== 'extension') return undefined;
  return new Extension(extensionOptions(foldKeys(backend, extensionKeys)), network, {
    run: shellCommand(outside.environment),
    memory: extensionMemory(path.join(outside.stateDirectory, 'extension.json')),
    clock: systemClock,
    log: outside.log,
  });
}

/** The last line of what a command printed says why, as a rule. */
function sentence(key: string, { failure, output }: CommandOutcome): string {
  const said = output.split('\n').at(-1)?.slice(0, 200) ?? '';
  return `net-conf.json: Backend.${key} failed: ${failure}${said === '' ? '' : `; it said ${JSON.stringify(said)}`}`;
}
