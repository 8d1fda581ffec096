import { FakeApiServer } from '../../test/lease/kubernetes/api-server.ts';
import { Etcd } from '../../test/kit/etcd.ts';
import { ApiServer, noApiServer } from '../lab/api-server.ts';
import { command } from '../lab/command.ts';
import { Door } from '../lab/door.ts';
import { Lab } from '../lab/lab.ts';
import type { Machine } from '../lab/machine.ts';
import { newest } from '../lab/runtime.ts';
import { type Cluster, type ClusterRegistry, directory, etcd, kubernetes } from './registry.ts';
import { type NodeObjects, realNodes, scriptedNodes } from './node-objects.ts';

/** An address behind the nodes' router, of each family. */
export const outside = { 4: '198.51.100.1', 6: '2001:db8:100::1' } as const;

/** What all combinations share: the network between the nodes, the world behind it, one etcd and one API server. */
export class Site {
  readonly lab: Lab;
  /** The router, with the world behind it. */
  readonly router: Machine;
  readonly #etcd: Etcd;
  readonly #nodes: NodeObjects;
  readonly #ends: readonly (() => Promise<void>)[];
  #plugged = 0;

  private constructor(
    lab: Lab,
    router: Machine,
    server: Etcd,
    nodes: NodeObjects,
    ends: readonly (() => Promise<void>)[],
  ) {
    this.lab = lab;
    this.router = router;
    this.#etcd = server;
    this.#nodes = nodes;
    this.#ends = ends;
  }

  static async start(): Promise<Site> {
    const ends: (() => Promise<void>)[] = [];
    try {
      const lab = await Lab.start({ nodes: 0, family: 'dual', runtime: newest });
      ends.unshift(() => lab.stop());
      const { name } = lab.underlay;
      const router = await lab.machine('router', name);
      for (const address of Object.values(outside))
        await command('ip', ['-n', name, 'address', 'add', address, 'dev', 'lo']);
      const [server, nodes] = await Promise.all([startEtcd(lab, ends), startNodes(lab, ends)]);
      return new Site(lab, router, server, nodes, ends);
    } catch (error) {
      await endAll(ends);
      throw error;
    }
  }

  registry(cluster: Cluster): Promise<ClusterRegistry> {
    const kinds = {
      directory: async () => directory(cluster),
      etcd: () => etcd(this.#etcd, cluster),
      kubernetes: async () => kubernetes(this.#nodes, cluster),
    };
    return kinds[cluster.combination.registry]();
  }

  /** The number of a place in the underlay where no machine has been yet. */
  nextPlace(): number {
    this.#plugged += 1;
    return this.#plugged;
  }

  async stop(): Promise<void> {
    await endAll(this.#ends);
  }
}

/** Each, also when one before it fails. */
async function endAll([first, ...rest]: readonly (() => Promise<void>)[]): Promise<void> {
  try {
    await first?.();
  } finally {
    if (rest.length > 0) await endAll(rest);
  }
}

async function startEtcd(lab: Lab, ends: (() => Promise<void>)[]): Promise<Etcd> {
  const server = await Etcd.start();
  ends.unshift(() => server.stop());
  await openDoor(lab, 2379, server.url, ends);
  return server;
}

/** Kubernetes' own API server, or the one of the tests' kit where there is none. */
async function startNodes(lab: Lab, ends: (() => Promise<void>)[]): Promise<NodeObjects> {
  if (noApiServer !== undefined) {
    console.log(`${noApiServer}: the tests' own takes its place.`);
    const scripted = new FakeApiServer();
    await scripted.start();
    ends.unshift(() => scripted.stop());
    await openDoor(lab, 6443, scripted.url, ends);
    return scriptedNodes(scripted);
  }
  const server = await ApiServer.start();
  ends.unshift(() => server.stop());
  await server.apply('deploy/kube-flannel.yml');
  await openDoor(lab, 6443, server.url, ends);
  return realNodes(server);
}

/** In the router, for all nodes. */
async function openDoor(
  { underlay, directory: place }: Lab,
  port: number,
  to: string,
  ends: (() => Promise<void>)[],
): Promise<void> {
  const plan = { netns: underlay.name, host: '::', port, to: Number(new URL(to).port), directory: place };
  const door = await Door.open(plan);
  ends.unshift(() => door.close());
}
