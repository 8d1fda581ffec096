import type { MasqueradeBackend } from '../firewall/pod-masquerade.ts';
import type { Run } from '../firewall/process.ts';
import type { Store } from '../ipam/store.ts';
import type { Family } from '../net/address.ts';
import type { SyncSession } from '../netlink/session.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import type { BridgeState } from './attachment/attachment.ts';
import type { Files } from './records/files.ts';
import type { Reply } from './launcher/frame.ts';
import type { Task } from './attachment/task.ts';

/** What the verbs need of the node, passed in: by the daemon, by the stand-alone program, by tests. */
export interface World {
  /** NETLINK_ROUTE in the node's namespace. */
  readonly host: SyncSession;
  /** Which namespace that is, as `<dev>:<ino>`: no other has the same at the same time, a later one may. */
  readonly hostNetns: string;
  /** See observeBridge in src/cni/attachment/link.ts. */
  observeBridge(name: string): BridgeState | undefined;
  /** Whether the node forwards, by family; undefined for one that its kernel does not have. */
  forwarding(): Readonly<Record<Family, boolean | undefined>>;
  /** Attachments that are being made, as keys of src/cni/records/record.ts: there is a record or a link, and perhaps not both yet. */
  readonly beingMade: Set<string>;
  /** Resolves when the link is gone; that it was gone before is fine. */
  removeLink(ifindex: number): Promise<void>;
  /** The addresses of one network; `directory` is `<ipam.dataDir>/<network>`, and made when first needed. */
  store(directory: string): Store;
  /** For whoever looks, which must not make the directory: undefined for a network that never had an address. */
  existingStore(directory: string): Store | undefined;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly run: Run;
  /** When this boot began, in milliseconds since the epoch: see Sighting in src/ipam/sweep.ts. */
  readonly bootTime: number;
  /** Bridges, by ifindex, that this process has settled (MAC pinned, router advertisements ignored). */
  readonly adoptedBridges: Set<number>;
  /** For `ipMasq` without `ipMasqBackend`; found out once. Rejects when neither iptables nor nft works. */
  masqueradeBackend(): Promise<MasqueradeBackend>;
  /** Rejects with {@link NotMine} when this process cannot write such rules, or take them away, and another may. */
  expectMasquerade(backend: MasqueradeBackend): Promise<void>;
  /** The MTU of what carries the IPv6 network to other nodes, where the daemon knows it. */
  readonly ipv6RouteMtu?: number | undefined;
}

/**
 * What CNI_NETNS turned out to be: not set, a path that does not exist, something that is no network namespace, one that
 * cannot be entered, or a namespace with a socket inside.
 */
export type PodNamespace =
  | { state: 'absent' | 'missing' | 'foreign' }
  | { state: 'error'; errno: number }
  /** `fdOfCaller`: the number of its descriptor where the tasks are done, which may be another process. */
  | { state: 'open'; fdOfCaller: number; session: SyncSession };

/** Who asks, and what can be done through them. One request each. */
export interface Caller {
  readonly pod: PodNamespace;
  /** CNI_NETNS is the namespace that the plugin runs in: the node's own. */
  readonly podIsOwn: boolean;
  /** It is served in flanneld, whose sweep knows of it, and where a DEL of the same container waits for it. */
  readonly isWarm: boolean;
  /** To be called before the first side effect. Throws {@link Aborted} when nobody waits for the answer any more. */
  begin(): void;
  /** Nobody waits any more: what was done must be undone. */
  aborted(): boolean;
  /** Begins with tasks and does not wait; `perform`, which tells how they went, must follow. Undefined where it wins nothing just now. */
  readonly start: ((tasks: readonly Task[]) => void) | undefined;
  /** Throws {@link NotMine} when one of these, which the request names, is not there for a daemon to see. */
  expect(files: readonly string[]): void;
  /** Throws {@link NotMine} where a daemon may have another file of that name: each container has an /etc/resolv.conf. */
  expectSame(file: string): void;
  /**
   * Does the tasks in order, behind those that were started. `stdout`: all that is left to do when they went well is to print
   * that, and then the caller is gone. Resolves to whether what was to be exchanged was. Rejects with a SysctlError or a StepError
   * for the first that was refused, and with {@link Aborted}: with {@link Parted} where it may be doing them yet.
   */
  perform(tasks: readonly Task[], stdout?: string): Promise<boolean>;
  /** Has `work`, which must not reject, done when nobody waits for anything any more. */
  afterwards(work: () => Promise<void>): Promise<void>;
  /** Throws {@link NotMine} where no other plugin can be run, and a CniError when this one is not installed. */
  expectDelegate(type: string): void;
  /** Runs another CNI plugin out of CNI_PATH, with this request's verb or another. Rejects as {@link expectDelegate} throws. */
  delegate(type: string, configuration: string, verb?: string): Promise<Reply>;
}

/** The caller is gone. Nobody will read this. */
export class Aborted extends Error {
  override readonly name: string = 'Aborted';
  constructor(message = 'the caller is gone') {
    super(message);
  }
}

/** The daemon has left a caller that may be doing yet what it was handed, and may tell its own caller so: nothing of that is undone. */
export class Parted extends Aborted {
  override readonly name = 'Parted';
  constructor() {
    super('the caller was left to do what it was handed');
  }
}

/** The daemon cannot serve this request, and has done nothing yet: the stand-alone program can. */
export class NotMine extends Error {
  override readonly name = 'NotMine';
}

/** Throws {@link Aborted} when the caller is gone. */
export function checkCaller(caller: Caller): void {
  if (caller.aborted()) throw new Aborted();
}
