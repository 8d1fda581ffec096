import { type Prefix, prefixAddress } from '../net/prefix.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { makeDirectory } from '../world/make-directory.ts';
import type { Random } from '../world/random.ts';
import { freeSubnet, isInRange, type SubnetRange, takenOf } from './allocate.ts';
import { withDirectoryLock } from './directory-lock.ts';
import { DirectoryWatch } from './directory-watch.ts';
import { Doubt } from './doubt.ts';
import type { Lease, PodNetwork } from './lease.ts';
import { documentOf, type Files, isNodeName, type LeaseFile, LeaseFiles } from './lease-files.ts';
import { MountGuard } from './mount-guard.ts';
import { OwnDocument } from './own-document.ts';
import { type LeaseSink, type LeaseWish, type Registry, RegistryError } from './registry.ts';

export interface DirectoryRegistryOptions {
  readonly directory: string;
  /** This node's name: also the file's. */
  readonly node: string;
  /** Where free subnets are taken from, one range for each family of the network. */
  readonly ranges: { readonly ipv4?: SubnetRange; readonly ipv6?: SubnetRange };
  readonly files: Files;
  /** flock(2): 0 or -errno. */
  flock(fd: number, operation: number): number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Whether this node had peers in this network before it was started; asked when the directory is empty. */
  knowsPeers(): boolean;
}

/**
 * Leases in a directory that all nodes share: one JSON document a node, `<node>.json`, replaced whole. Whoever takes a subnet
 * holds the lock `.lock`, so that two nodes that start at once never get the same one.
 */
export class DirectoryRegistry implements Registry {
  readonly name: string;
  readonly #options: DirectoryRegistryOptions;
  readonly #documents: LeaseFiles;
  readonly #guard: MountGuard;
  readonly #doubt: Doubt;
  /** What this process has taken, and what it asked for then. */
  #taken: { readonly lease: Lease; readonly wish: LeaseWish } | undefined;
  /** By name, as they were read for a free subnet, until they are watched: thousands need not be read twice at a start. */
  #lastRead: ReadonlyMap<string, LeaseFile> | undefined = new Map();

  /** Throws a permanent {@link RegistryError} for a node name that can be no file's name. */
  constructor(options: DirectoryRegistryOptions) {
    const { node, directory, files } = options;
    if (!isNodeName(node)) {
      throw new RegistryError(
        `the node name ${JSON.stringify(node)} cannot be used as the name of a lease file: ` +
          'use up to 250 letters, digits, dots and hyphens (--node-name)',
        { permanent: true },
      );
    }
    this.#options = options;
    this.#documents = new LeaseFiles(directory, files);
    this.#guard = new MountGuard(documentOf(node), () => options.knowsPeers());
    this.#doubt = new Doubt(options.clock);
    this.name = `directory ${directory}`;
  }

  own(): Promise<Lease | undefined> {
    return Promise.resolve(leaseIn(this.#documents.read(documentOf(this.#options.node))));
  }

  acquire(wish: LeaseWish): Promise<Lease> {
    return this.#locked(() => this.#take(wish));
  }

  watch(sink: LeaseSink): () => void {
    const { files, clock } = this.#options;
    const own = new OwnDocument({
      ...this.#options,
      sink,
      isSpoilt: () => this.#isSpoilt(),
      restore: () => this.#locked(() => this.#taken && this.#take(this.#taken.wish)),
    });
    const watch = new DirectoryWatch({
      documents: this.#documents,
      known: this.#lastRead ?? new Map(),
      guard: this.#guard,
      files,
      clock,
      sink: own,
    });
    this.#lastRead = undefined;
    watch.start();
    return () => {
      watch.close();
      own.close();
    };
  }

  /** There is nobody to tell. */
  complete(): Promise<void> {
    return Promise.resolve();
  }

  /** By somebody who leaves this node its subnets: what others mean is for the node to say, and what to do when there is none. */
  #isSpoilt(): boolean {
    const file = this.#documents.read(documentOf(this.#options.node));
    if (file === undefined || this.#taken === undefined) return false;
    const { lease } = this.#taken;
    const now = leaseIn(file) ?? lease;
    const isOfSameSubnets = now.subnet === lease.subnet && now.ipv6Subnet === lease.ipv6Subnet;
    return isOfSameSubnets && !this.#documents.holds(lease);
  }

  async #locked<T>(work: () => T): Promise<T> {
    const { directory, files } = this.#options;
    try {
      makeDirectory(files, directory, 0o777);
      return await withDirectoryLock(directory, this.#options, work);
    } catch (error) {
      if (error instanceof RegistryError) throw error;
      throw new RegistryError(
        `cannot take a lease in ${directory}: ${explain(error as NodeJS.ErrnoException)}`,
        {
          cause: error,
        },
      );
    }
  }

  #take(wish: LeaseWish): Lease {
    const { attributes, network, previous } = wish;
    const { node, ranges, directory, files } = this.#options;
    const documents = this.#readAll();
    this.#guard.check(files.statSync(directory).dev, [...documents.keys()]);
    const own = leaseIn(documents.get(documentOf(node)));
    // What was asked for may say what this node had before that, or nothing.
    const before = this.#taken?.lease ?? previous;
    const others = new Map([...documents].filter(([name]) => name !== documentOf(node)));
    const claims = [...others.values()].flatMap(claimed);
    const choose = (family: 'ipv4' | 'ipv6', key: 'subnet' | 'ipv6Subnet'): Prefix | undefined => {
      const [whole, range] = [network[family], ranges[family]];
      if (whole === undefined || range === undefined) return undefined;
      const taken = takenOf(whole, claims);
      const kept = keptSubnet(range, taken, own?.[key], before[key]);
      if (kept === undefined) this.#doubt.refuse(whole, others, this.name);
      return kept ?? freeSubnet(range, taken);
    };
    const subnet = choose('ipv4', 'subnet');
    const ipv6Subnet = choose('ipv6', 'ipv6Subnet');
    refuseFull(network, { subnet, ipv6Subnet }, this.name);
    const lease: Lease = {
      id: node,
      ...(subnet !== undefined && { subnet }),
      ...(ipv6Subnet !== undefined && { ipv6Subnet }),
      attributes,
    };
    if (!this.#documents.holds(lease)) this.#documents.write(lease);
    this.#taken = { lease, wish };
    if (this.#lastRead !== undefined) this.#lastRead = documents;
    return lease;
  }

  #readAll(): Map<string, LeaseFile> {
    const documents = new Map<string, LeaseFile>();
    for (const name of this.#documents.list()) {
      const file = this.#documents.read(name);
      if (file !== undefined) documents.set(name, file);
    }
    return documents;
  }
}

const leaseIn = (file: LeaseFile | undefined): Lease | undefined =>
  file !== undefined && 'lease' in file.entry ? file.entry.lease : undefined;

/** The subnets that a document claims. One that is damaged claims what can still be made out. */
function claimed({ entry, named }: LeaseFile): readonly Prefix[] {
  if ('unreadable' in entry) return named;
  return [entry.lease.subnet, entry.lease.ipv6Subnet].flatMap((subnet) => subnet ?? []);
}

/**
 * The subnet of the node's own document, else the one that it had before (`previous`, where its pods are), as long as
 * it is in the range and nobody else claims it; a claim on what this node has and uses does not count.
 */
function keptSubnet(
  range: SubnetRange,
  taken: readonly Prefix[],
  own: Prefix | undefined,
  previous: Prefix | undefined,
): Prefix | undefined {
  const isFree = (subnet: Prefix): boolean => {
    const start = prefixAddress(subnet);
    return freeSubnet({ length: range.length, min: start, max: start }, taken) !== undefined;
  };
  return [own, previous].find(
    (subnet) => subnet !== undefined && isInRange(range, subnet) && (own === previous || isFree(subnet)),
  );
}

function refuseFull(
  network: PodNetwork,
  chosen: { subnet: Prefix | undefined; ipv6Subnet: Prefix | undefined },
  name: string,
): void {
  const full =
    network.ipv4 !== undefined && chosen.subnet === undefined
      ? network.ipv4
      : network.ipv6 !== undefined && chosen.ipv6Subnet === undefined
        ? network.ipv6
        : undefined;
  if (full === undefined) return;
  throw new RegistryError(
    `no subnet of ${full} is free in ${name}: remove the documents of nodes that are gone, ` +
      'or use a larger Network or a longer SubnetLen in net-conf.json',
    { withoutSubnet: true },
  );
}

function explain({ message, code }: NodeJS.ErrnoException): string {
  if (code === 'EACCES' || code === 'EROFS' || code === 'EPERM') {
    return `${message}; flanneld must be able to write there`;
  }
  if (code === 'EEXIST' || code === 'ENOTDIR') {
    return `a file is in the place of the directory (${message}); move it away, or name another directory (--lease-dir)`;
  }
  if (code === 'ENOSPC' || code === 'EDQUOT') return `${message}; make room there`;
  // Of a directory that is there: as procfs says it.
  if (code === 'ENOENT')
    return `${message}; if no file can be made there, name another directory (--lease-dir)`;
  return message;
}
