import { BackOff } from '../../http/back-off.ts';
import { HttpClient } from '../../http/client.ts';
import { JsonError } from '../../json/go-json.ts';
import { containsPrefix, type Prefix } from '../../net/prefix.ts';
import { type Clock, sleep } from '../../world/clock.ts';
import type { Random } from '../../world/random.ts';
import type { Lease, PodNetwork } from '../lease.ts';
import { type Entry, type LeaseSink, type LeaseWish, type Registry, RegistryError } from '../registry.ts';
import { authorization, type KubernetesAccess } from './access.ts';
import type { AnnotationKeys } from './annotations.ts';
import { announcement } from './announcement.ts';
import { ApiError, KubernetesApi } from './api.ts';
import {
  annotationsOf,
  leaseOfNode,
  type PublicAddresses,
  publicAddressesOf,
  subnetsOf,
} from './node-lease.ts';
import type { NodeObject } from './node-object.ts';
import { NodeWatch } from './node-watch.ts';

export interface KubernetesRegistryOptions {
  readonly access: KubernetesAccess;
  readonly annotations: AnnotationKeys;
  /** This node's name, or the pod that flanneld runs in, which says on which node that is. */
  readonly node: string | { readonly namespace: string; readonly pod: string };
  readonly network: PodNetwork;
  /** Whether the cluster waits to hear that the network is up (`--set-node-network-unavailable`). */
  readonly setNetworkUnavailable: boolean;
  /** An administrator has chosen other addresses for this node: see {@link KubernetesRegistry.publicAddresses}. */
  readonly onPublicAddresses?: () => void;
  readonly readFile: (file: string) => string;
  readonly clock: Clock;
  readonly random: Random;
}

/** The agent's first word is who owns the fields that are written (`managedFields`): the same as for Go flannel. */
const always = { accept: 'application/json', 'user-agent': 'flanneld/flannelette' };
/** Own annotations that somebody has removed are written again after so many milliseconds, then ever later. */
const repairBackOff = { first: 200, longest: 30_000 };

/**
 * Leases as annotations of the cluster's Nodes, as Go flannel with `--kube-subnet-mgr`: the subnet is the Node's podCIDR, which
 * Kubernetes chooses. A lease's id is the Node's name.
 */
export class KubernetesRegistry implements Registry {
  readonly name: string;
  readonly #options: KubernetesRegistryOptions;
  readonly #http: HttpClient;
  readonly #api: KubernetesApi;
  #node: string | undefined;
  /** What was asked for last, and is kept. */
  #wish: LeaseWish | undefined;
  /** One after the other, or an older wish would overwrite a newer one. */
  #turn: Promise<unknown> = Promise.resolve();
  #repairing = false;
  /** The uid of this node's Node as it was seen last, and of the one that was told that the network is up. */
  #uid = '';
  #upOn: string | undefined;
  #publicAddresses: PublicAddresses = {};

  constructor(options: KubernetesRegistryOptions) {
    const { access, readFile, clock } = options;
    this.#options = options;
    this.name = `Kubernetes API ${access.server}`;
    const headers = () => ({ ...always, ...authorization(access, readFile) });
    this.#http = new HttpClient({ servers: [access.server], tls: access.tls, headers, readFile, clock });
    this.#api = new KubernetesApi(this.#http, options.annotations);
  }

  /** What the annotations of this Node say in place of `--public-ip` and `--public-ipv6`, as far as it was seen. */
  get publicAddresses(): PublicAddresses {
    return this.#publicAddresses;
  }

  async own(): Promise<Lease | undefined> {
    try {
      const node = await this.#api.node(await this.#nodeName());
      this.#notice(node);
      const entry = this.#leaseOf(node);
      return entry !== undefined && 'lease' in entry ? entry.lease : undefined;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  acquire(wish: LeaseWish): Promise<Lease> {
    return this.#inTurn(() => this.#publish(wish));
  }

  watch(sink: LeaseSink): () => void {
    const { clock, random } = this.#options;
    const stop = new AbortController();
    const watch = new NodeWatch({
      api: this.#api,
      leaseOf: (node) => this.#leaseOf(node),
      onNode: (node) => this.#keep(node, stop.signal),
      sink,
      clock,
      random,
    });
    watch.start();
    return () => {
      stop.abort();
      watch.close();
    };
  }

  async complete(): Promise<void> {
    if (!this.#options.setNetworkUnavailable) return;
    const now = new Date(this.#options.clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
    const condition = {
      type: 'NetworkUnavailable',
      status: 'False',
      lastHeartbeatTime: now,
      lastTransitionTime: now,
      reason: 'FlannelIsUp',
      message: 'Flannel is running on this node',
    };
    const { uid } = await this.#api.patchNode(await this.#nodeName(), {
      status: { conditions: [condition] },
    });
    this.#upOn = uid;
  }

  /** Ends what is under way. */
  close(): void {
    this.#http.close();
  }

  async #publish(wish: LeaseWish): Promise<Lease> {
    const node = await this.#api.node(await this.#nodeName());
    if (this.#notice(node)) {
      throw new RegistryError(
        `Node "${node.name}" was annotated with another public address: the lease is asked for with that`,
      );
    }
    refuseSubnets(node, wish.network);
    orRefuse(node, () => publicAddressesOf(node, this.#options.annotations));
    this.#wish = wish;
    const change = this.#missing(node, wish);
    let published = node;
    if (Object.keys(change).length > 0) {
      for (const annotations of announcement(change, node, this.#options.annotations)) {
        published = await this.#api.patchNode(node.name, { metadata: { annotations } });
      }
    }
    const entry = this.#leaseOf(published);
    if (entry !== undefined && 'lease' in entry) return entry.lease;
    const why = entry?.unreadable ?? 'the API server did not keep them';
    throw new RegistryError(`the annotations of Node "${node.name}" make no lease: ${why}`);
  }

  #missing(node: NodeObject, { attributes }: LeaseWish): Record<string, string> {
    const wanted = Object.entries(annotationsOf(attributes, node, this.#options.annotations));
    const missing = wanted.filter(([key, value]) => node.annotations.get(key) !== value);
    return Object.fromEntries(missing.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Somebody may have removed or changed what this node says about itself, or the Node has been made anew. */
  #keep(node: NodeObject, signal: AbortSignal): void {
    if (node.name !== this.#node) return;
    this.#notice(node);
    this.#uid = node.uid;
    if (this.#wish === undefined || this.#repairing) return;
    if (this.#isUntold() || Object.keys(this.#missing(node, this.#wish)).length > 0)
      void this.#repair(signal);
  }

  /** The Node was made anew since: it has the condition of a new one. */
  #isUntold(): boolean {
    return this.#upOn !== undefined && this.#upOn !== this.#uid;
  }

  async #repair(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    const backOff = new BackOff(repairBackOff, random);
    this.#repairing = true;
    while (!signal.aborted) {
      await sleep(clock, backOff.next(), signal);
      if (signal.aborted) break;
      const isDone = await this.#inTurn(async () => {
        if (this.#wish !== undefined) await this.#publish(this.#wish);
        if (this.#isUntold()) await this.complete();
      }).then(
        () => true,
        (error: unknown) => error instanceof RegistryError && error.permanent,
      );
      if (isDone) break;
    }
    this.#repairing = false;
  }

  /** True: they changed. An address that makes no sense changes nothing here; taking the lease says so. */
  #notice(node: NodeObject): boolean {
    const { annotations, onPublicAddresses } = this.#options;
    const before = this.#publicAddresses;
    try {
      this.#publicAddresses = publicAddressesOf(node, annotations);
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
    }
    const changed = JSON.stringify(before) !== JSON.stringify(this.#publicAddresses);
    if (changed) onPublicAddresses?.();
    return changed;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  #leaseOf(node: NodeObject): Entry | undefined {
    return leaseOfNode(node, this.#options.annotations, this.#options.network);
  }

  async #nodeName(): Promise<string> {
    const { node } = this.#options;
    this.#node ??= typeof node === 'string' ? node : await this.#api.nodeOfPod(node.namespace, node.pod);
    return this.#node;
  }
}

/** Throws a {@link RegistryError} when the Node's subnets are not those that the network needs. */
function refuseSubnets(node: NodeObject, network: PodNetwork): void {
  const { subnet, ipv6Subnet } = orRefuse(node, () => subnetsOf(node));
  const families = [
    ['IPv4', network.ipv4, subnet],
    ['IPv6', network.ipv6, ipv6Subnet],
  ] as const;
  const outside = families.find(([, whole, part]) => whole && part && !containsPrefix(whole, part));
  if (outside !== undefined) {
    throw new RegistryError(
      `Node "${node.name}" has the podCIDR ${outside[2]}, which is outside of the network ${outside[1]} in net-conf.json: ` +
        "the controller manager's --cluster-cidr must be the same as Network and IPv6Network there",
      { permanent: true },
    );
  }
  const missing = families.find(([, whole, part]) => whole !== undefined && part === undefined);
  if (missing !== undefined) throw waiting(node, missing[0], network);
}

function orRefuse<T>(node: NodeObject, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw new RegistryError(`Node "${node.name}" gives no lease: ${error.message}`, { cause: error });
  }
}

function waiting(node: NodeObject, family: string, { ipv4, ipv6 }: PodNetwork): RegistryError {
  const ranges = [ipv4, ipv6].filter((each): each is Prefix => each !== undefined).join(',');
  if (node.podCIDRs.length > 0) {
    return new RegistryError(
      `Node "${node.name}" has no ${family} podCIDR (only ${node.podCIDRs.join(', ')}), and never gets another: run the controller ` +
        `manager with --cluster-cidr=${ranges}, remove the Node and let kubelet make it anew, or leave ${family} out of net-conf.json`,
      { withoutSubnet: true },
    );
  }
  return new RegistryError(
    `Node "${node.name}" has no podCIDR yet: the controller manager gives it one when it runs with --allocate-node-cidrs and ` +
      `--cluster-cidr=${ranges} (kubeadm: podSubnet)`,
    { withoutSubnet: true },
  );
}
