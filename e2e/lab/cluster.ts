import { existsSync } from 'node:fs';
import path from 'node:path';
import { until } from './command.ts';
import { Lab, type LabOptions, sharedFile, shippedConfiguration } from './lab.ts';
import { type LabNode, programs } from './node.ts';
import { type NodeProcess, hasEnded } from './process.ts';
import type { Family } from './underlay.ts';

export interface ClusterOptions extends LabOptions {
  /** The text of the conflist; by default the one that is shipped. */
  readonly configuration?: string;
  /** Where the leases are; by default in a directory that all nodes share. */
  readonly registry?: (lab: Lab) => Promise<RegistryFlags>;
}

/** The flags that name a registry to a node's flanneld. */
export type RegistryFlags = (node: LabNode) => readonly string[];

const health = 8471;

/** A lab whose nodes have Flannelette as an installer would leave it: plugin, conflist, and a running flanneld. */
export class Cluster {
  readonly lab: Lab;
  readonly #configuration: string;
  readonly #netConfig: string;
  readonly #registry: RegistryFlags;
  readonly #daemons = new Map<LabNode, NodeProcess>();

  private constructor(lab: Lab, configuration: string, registry: RegistryFlags) {
    this.lab = lab;
    this.#configuration = configuration;
    this.#registry = registry;
    this.#netConfig = sharedFile(lab, 'net-conf.json', netConfig(lab.underlay.family));
  }

  static async start(options: ClusterOptions): Promise<Cluster> {
    const lab = await Lab.start(options);
    try {
      const registry = await (options.registry ?? sharedDirectory)(lab);
      const cluster = new Cluster(lab, options.configuration ?? shippedConfiguration(), registry);
      await Promise.all(lab.nodes.map((node) => cluster.setUp(node)));
      await cluster.meshed();
      return cluster;
    } catch (error) {
      await lab.stop();
      throw error;
    }
  }

  get nodes(): readonly LabNode[] {
    return this.lab.nodes;
  }

  node(index: number): LabNode {
    return this.lab.node(index);
  }

  /** Everything that a node needs once: also after its disk was kept over a reboot. */
  async setUp(node: LabNode): Promise<void> {
    await node.installPlugin(path.join(programs, 'flannel'), path.join(programs, 'flannelette'));
    await this.startDaemon(node);
    node.installConfiguration('10-flannel.conflist', this.#configuration);
    await until(`NetworkReady on ${node.name}`, 10, async () => (await node.cri.network()).status);
  }

  async startDaemon(node: LabNode): Promise<void> {
    const daemon = await node.spawn('flanneld', [
      path.join(programs, 'flanneld'),
      `--net-config-path=${this.#netConfig}`,
      ...this.#registry(node),
      `--node-name=${node.name}`,
      '--iface=eth0',
      '--ip-masq',
      `--healthz-port=${health}`,
    ]);
    this.#daemons.set(node, daemon);
    const ready = async () => {
      if (hasEnded(daemon.pid)) throw new Error(`flanneld on ${node.name} has ended`);
      if (!existsSync(node.path('/run/flannel/subnet.env'))) return false;
      return node.succeeds('busybox', 'wget', '-qO-', `http://127.0.0.1:${health}/readyz`);
    };
    await until(`flanneld on ${node.name} ready`, 20, ready).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${daemon.tail()}`);
    });
  }

  /** Ends the node's flanneld as nothing can be prepared for, and waits until it is gone. */
  async killDaemon(node: LabNode, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const daemon = this.#daemons.get(node);
    if (daemon === undefined) return;
    this.#daemons.delete(node);
    daemon.kill(signal);
    await daemon.exited;
  }

  /** Waits until every node has a route to every other node's subnet, in each family. */
  async meshed(): Promise<void> {
    await Promise.all(
      this.nodes.map((node) => until(`all peers on ${node.name}`, 15, () => this.#knowsPeers(node))),
    );
  }

  async #knowsPeers(node: LabNode): Promise<boolean> {
    const { family } = this.lab.underlay;
    const devices = [
      family === 'v6' ? [] : ['-4', 'flannel.1'],
      family === 'v4' ? [] : ['-6', 'flannel-v6.1'],
    ];
    const complete = devices
      .filter((device) => device.length > 0)
      .map(async ([version = '', device = '']) => {
        const routes = JSON.parse(await node.exec(['ip', '-j', version, 'route', 'show', 'dev', device])) as {
          gateway?: string;
        }[];
        return routes.filter(({ gateway }) => gateway !== undefined).length >= this.nodes.length - 1;
      });
    return (await Promise.all(complete)).every(Boolean);
  }

  async stop(): Promise<void> {
    await this.lab.stop();
  }
}

const sharedDirectory = ({ directory }: Lab): Promise<RegistryFlags> =>
  Promise.resolve(() => [`--lease-dir=${path.join(directory, 'leases')}`]);

function netConfig(family: Family): string {
  const v4 = { Network: '10.244.0.0/16' };
  const v6 = { EnableIPv6: true, IPv6Network: 'fd00:244::/56' };
  const networks = { v4, v6: { EnableIPv4: false, ...v6 }, dual: { ...v4, ...v6 } };
  return JSON.stringify({ ...networks[family], Backend: { Type: 'vxlan' } });
}
