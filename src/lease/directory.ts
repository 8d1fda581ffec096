import { constants } from 'node:os';
import fs from 'node:fs';
import path from 'node:path';
import { containsPrefix, type Prefix } from '../net/prefix.ts';
import { type Clock, sleep } from '../world/clock.ts';
import { freeSubnet, isInRange, type SubnetRange } from './allocate.ts';
import { leaseDocument, parseLeaseDocument } from './document.ts';
import type { Lease, PodNetwork } from './lease.ts';
import { type Entry, type LeaseSink, type LeaseWish, type Registry, RegistryError } from './registry.ts';
import { DirectoryWatch } from './directory-watch.ts';

/** A document longer than this, in bytes, is no lease. */
const maxDocument = 64 * 1024;
/** How long another starting node may hold the lock, in milliseconds. */
const lockLimit = 10_000;
const LOCK_EX_NB = 6;

export interface DirectoryRegistryOptions {
  readonly directory: string;
  /** This node's name: also the file's. */
  readonly node: string;
  /** Where free subnets are taken from, one range for each family of the network. */
  readonly ranges: { readonly ipv4?: SubnetRange; readonly ipv6?: SubnetRange };
  /** flock(2): 0 or -errno. */
  flock(fd: number, operation: number): number;
  readonly clock: Clock;
}

/**
 * Leases in a directory that all nodes share: one JSON document a node, `<node>.json`, replaced whole. Whoever takes a subnet
 * holds the lock `.lock`, so that two nodes that start at once never get the same one.
 */
export class DirectoryRegistry implements Registry {
  readonly name: string;
  readonly #options: DirectoryRegistryOptions;

  /** Throws a permanent {@link RegistryError} for a node name that can be no file's name. */
  constructor(options: DirectoryRegistryOptions) {
    if (!isFileName(options.node)) {
      throw new RegistryError(
        `the node name ${JSON.stringify(options.node)} cannot be used as the name of a lease file: ` +
          'use letters, digits, dots and hyphens (--node-name)',
        { permanent: true },
      );
    }
    this.#options = options;
    this.name = `directory ${options.directory}`;
  }

  own(): Promise<Lease | undefined> {
    const entry = this.#read(this.#options.node);
    return Promise.resolve(entry !== undefined && 'lease' in entry ? entry.lease : undefined);
  }

  async acquire(wish: LeaseWish): Promise<Lease> {
    try {
      fs.mkdirSync(this.#options.directory, { recursive: true });
      const fd = await this.#lock();
      try {
        return this.#take(wish);
      } finally {
        fs.closeSync(fd);
      }
    } catch (error) {
      if (error instanceof RegistryError) throw error;
      const { message, code } = error as NodeJS.ErrnoException;
      const hint = code === 'EACCES' || code === 'EROFS' ? '; flanneld must be able to write there' : '';
      throw new RegistryError(`cannot take a lease in ${this.#options.directory}: ${message}${hint}`, {
        cause: error,
      });
    }
  }

  watch(sink: LeaseSink): () => void {
    const { directory, clock } = this.#options;
    const watch = new DirectoryWatch({
      directory,
      clock,
      sink,
      read: (id) => this.#read(id),
      list: () => this.#list(),
    });
    watch.start();
    return () => watch.close();
  }

  /** There is nobody to tell. */
  complete(): Promise<void> {
    return Promise.resolve();
  }

  #take({ attributes, network, previous }: LeaseWish): Lease {
    const { node, ranges } = this.#options;
    const entries = new Map(this.#list().map((id) => [id, this.#read(id)]));
    const mine = entries.get(node);
    const own = mine !== undefined && 'lease' in mine ? mine.lease : undefined;
    const others = [...entries].flatMap(([id, entry]) =>
      id !== node && entry !== undefined && 'lease' in entry ? [entry.lease] : [],
    );
    const choose = (family: 'ipv4' | 'ipv6', key: 'subnet' | 'ipv6Subnet'): Prefix | undefined => {
      const range = ranges[family];
      const whole = network[family];
      if (whole === undefined || range === undefined) return undefined;
      const taken = others.flatMap((lease) => lease[key] ?? []);
      return chooseSubnet({ whole, range, taken, wanted: [own?.[key], previous[key]] });
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
    this.#write(lease);
    return lease;
  }

  /** Every node that has a document. Throws the file system's error. */
  #list(): string[] {
    return fs
      .readdirSync(this.#options.directory)
      .filter((name) => name.endsWith('.json') && !name.startsWith('.'))
      .map((name) => name.slice(0, -'.json'.length));
  }

  /** Undefined when there is none. Throws the file system's error for a directory that cannot be read. */
  #read(id: string): Entry | undefined {
    const file = path.join(this.#options.directory, `${id}.json`);
    try {
      const { size } = fs.statSync(file);
      if (size > maxDocument)
        return { unreadable: `the document has ${size} bytes; ${maxDocument} are allowed` };
      return parseLeaseDocument(id, fs.readFileSync(file));
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      return code === 'ENOENT' ? undefined : { unreadable: `it cannot be read: ${message}` };
    }
  }

  #write(lease: Lease): void {
    const { directory, node } = this.#options;
    const fresh = path.join(directory, `.${node}.json.${process.pid}`);
    try {
      fs.writeFileSync(fresh, leaseDocument(lease), { mode: 0o644, flush: true });
      fs.renameSync(fresh, path.join(directory, `${node}.json`));
    } catch (error) {
      fs.rmSync(fresh, { force: true });
      throw error;
    }
  }

  /** The descriptor of the lock, held. A holder that dies lets go of it. */
  async #lock(): Promise<number> {
    const { directory, clock, flock } = this.#options;
    const file = path.join(directory, '.lock');
    const fd = fs.openSync(file, fs.constants.O_CREAT | fs.constants.O_RDWR, 0o644);
    const deadline = clock.monotonic() + lockLimit;
    for (;;) {
      const result = flock(fd, LOCK_EX_NB);
      if (result === 0) return fd;
      const busy = result === -constants.errno.EAGAIN || result === -constants.errno.EINTR;
      if (!busy || clock.monotonic() >= deadline) {
        fs.closeSync(fd);
        const why = busy ? `another node holds it for more than ${lockLimit / 1000} s` : `errno ${-result}`;
        throw new RegistryError(`cannot lock ${file}: ${why}`);
      }
      await sleep(clock, 5);
    }
  }
}

interface SubnetChoice {
  readonly whole: Prefix;
  readonly range: SubnetRange;
  readonly taken: readonly Prefix[];
  /** In the order in which they are preferred. */
  readonly wanted: readonly (Prefix | undefined)[];
}

/** The subnet that the node had, if it still fits and nobody else has it; else a free one. */
function chooseSubnet({ whole, range, taken, wanted }: SubnetChoice): Prefix | undefined {
  const before = wanted.find(
    (subnet) =>
      subnet !== undefined &&
      containsPrefix(whole, subnet) &&
      isInRange(range, subnet) &&
      freeSubnet({ ...range, min: subnetStart(subnet), max: subnetStart(subnet) }, taken) !== undefined,
  );
  return before ?? freeSubnet(range, taken);
}

const subnetStart = (subnet: Prefix) => subnet.slice(0, subnet.indexOf('/')) as SubnetRange['min'];

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
  );
}

const isFileName = (name: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,249}$/.test(name);
