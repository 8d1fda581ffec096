import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { until } from '../lab/command.ts';
import type { Machine } from '../lab/machine.ts';
import type { Family } from '../lab/underlay.ts';
import { programs } from '../lab/node.ts';
import { hasEnded } from '../lab/process.ts';
import { BarePod } from './pod.ts';
import type { Site } from './site.ts';
import { parseSubnetFile, type SubnetFile } from './subnet-file.ts';

const subnetFilePath = '/run/flannel/subnet.env';
const health = 8471;

export interface NodePlan {
  readonly name: string;
  readonly family: Family;
  /** The options of flanneld that lead to the registry. */
  readonly registry: readonly string[];
  /** The subnet file of the machine whose place this one takes. */
  readonly inherited?: string;
}

/** A machine with a running flanneld. */
export class MatrixNode {
  readonly name: string;
  readonly machine: Machine;
  readonly #site: Site;
  readonly #place: number;
  #subnetFile = '';

  private constructor(site: Site, name: string, place: number, machine: Machine) {
    this.#site = site;
    this.name = name;
    this.#place = place;
    this.machine = machine;
  }

  static async start(site: Site, { name, family, registry, inherited }: NodePlan): Promise<MatrixNode> {
    const place = site.nextPlace();
    await site.lab.underlay.plug(place, family);
    const machine = await site.lab.machine(`${name}-at-${place}`, site.lab.underlay.netns(place));
    const node = new MatrixNode(site, name, place, machine);
    if (inherited !== undefined) {
      mkdirSync(machine.path(path.dirname(subnetFilePath)), { recursive: true });
      writeFileSync(machine.path(subnetFilePath), inherited);
    }
    await node.#startDaemon(registry);
    node.#subnetFile = readFileSync(machine.path(subnetFilePath), 'utf8');
    return node;
  }

  address(version: 4 | 6): string {
    return this.#site.lab.underlay.addressOf(this.#place, version);
  }

  /** What flanneld wrote at its start for CNI plugins. */
  get subnetFile(): string {
    return this.#subnetFile;
  }

  get subnets(): SubnetFile {
    return parseSubnetFile(this.#subnetFile);
  }

  pod(name: string): Promise<BarePod> {
    return BarePod.add(this.machine, name);
  }

  /** The device by which the node sends to an address. */
  async wayTo(address: string): Promise<string> {
    const [route] = JSON.parse(await this.machine.exec(['ip', '-j', 'route', 'get', address])) as {
      dev: string;
    }[];
    return route?.dev ?? '';
  }

  /** All that the kernel holds because of peers: routes, neighbours, forwarding entries, WireGuard's peers. */
  traces(): Promise<string> {
    return this.machine.shell(`ip route show table all; ip -6 route show table all
      ip neighbour show nud permanent; ip -6 neighbour show nud permanent
      bridge fdb show; wg show all dump 2>/dev/null || true`);
  }

  async powerOff(): Promise<void> {
    await this.machine.powerOff();
    await this.#site.lab.underlay.unplug(this.#place);
  }

  async #startDaemon(registry: readonly string[]): Promise<void> {
    const daemon = await this.machine.spawn('flanneld', [
      path.join(programs, 'flanneld'),
      ...registry,
      `--node-name=${this.name}`,
      '--iface=eth0',
      '--ip-masq',
      `--healthz-port=${health}`,
    ]);
    const ready = async () => {
      if (hasEnded(daemon.pid)) throw new Error(`flanneld on ${this.name} has ended`);
      if (!existsSync(this.machine.path('/run/flannel/flanneld.sock'))) return false;
      return this.machine.succeeds('busybox', 'wget', '-qO-', `http://127.0.0.1:${health}/readyz`);
    };
    await until(`flanneld on ${this.name} ready`, 30, ready).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${daemon.tail()}`);
    });
  }
}
