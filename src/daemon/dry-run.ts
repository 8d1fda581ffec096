import type { Backend } from '../backend/backend.ts';
import { describe, type Operation } from '../kernel/operation.ts';
import type { Lease, Refusal } from '../lease/lease.ts';
import { type Entry, type LeaseWish, type Registry, RegistryError } from '../lease/registry.ts';
import { networkOf, type Prefix } from '../net/prefix.ts';
import { sleep } from '../world/clock.ts';
import type { NetworkConfig } from './network/network-config.ts';
import { FlannelNode } from './node.ts';
import type { NodeEffects, NodeWorld } from './node-world.ts';
import { fits } from './leases/own-lease.ts';
import { subnetEnvText } from './files/subnet-env.ts';

/** The node's world, with a reconciler that only looks. */
export interface DryWorld extends NodeWorld {
  /** The subnet file as it is. */
  readonly subnetFile: { readonly name: string; readonly text: string | undefined };
  /** Which sysctls would be set, for that interface to other nodes. */
  planHost(external: string): string[];
  /** What would be written of firewall rules, in lines. */
  planFirewall(networks: readonly Prefix[], subnets: readonly Prefix[]): Promise<string[]>;
}

/** So long the registry has for telling who is there, in milliseconds. */
const patience = 10_000;

/** All of them are named here, so that a new one cannot be forgotten. */
const nothing: Required<NodeEffects> = {
  saveLastKnown() {},
  prepareHost: () => Promise.resolve(),
  keepFirewall: () => Promise.resolve(),
  writeSubnetEnv() {},
  extension: undefined,
  ready() {},
};

/**
 * What a start of flanneld would change on this node, as text for people: it is started in a world where nothing comes of what it
 * writes. Rejects with an Error when that cannot be known.
 */
export async function dryRun(config: NetworkConfig, backend: Backend, world: DryWorld): Promise<string> {
  const { promise: told, resolve } = Promise.withResolvers<void>();
  const node = new FlannelNode(config, backend, {
    ...world,
    ...nothing,
    registry: onlyReading(world.registry, resolve),
  });
  const silence = new AbortController();
  try {
    const started = node.start();
    const outcome = await Promise.race([
      told.then(() => 'told' as const),
      // Readiness waits for what a dry run never does; without a lease it rejects.
      started.then(() => told).then(() => 'told' as const),
      sleep(world.clock, patience, silence.signal).then(() => 'silent' as const),
    ]);
    const { registry, lease, interface: external, refused } = node.status();
    if (outcome === 'silent' || lease === undefined) {
      throw new Error(
        `what would change cannot be told: the ${registry.name} does not say which nodes there are` +
          (registry.why === undefined ? '' : `: ${registry.why}`),
      );
    }
    const { foreign } = await world.reconciler.settled();
    return planText({
      lease,
      interface: external?.name ?? '',
      operations: world.reconciler.plan(),
      foreign,
      refused,
      subnetFile: { ...world.subnetFile, wanted: node.subnetEnv && subnetEnvText(node.subnetEnv) },
      sysctls: world.planHost(external?.name ?? ''),
      firewall: await world.planFirewall(node.networks, node.subnets),
    });
  } finally {
    silence.abort();
    await node.stop();
  }
}

/** Tells what the real one would tell, and gives the lease that it would give; `told` is called when all leases are known. */
function onlyReading(registry: Registry, told: () => void): Registry {
  const given = new Map<string, Entry>();
  return {
    name: registry.name,
    own: (owner) => registry.own(owner),
    async acquire(wish) {
      const lease = leaseBefore(await registry.own(wish), wish, registry.name);
      given.set(lease.id, { lease });
      return lease;
    },
    watch: (sink) =>
      registry.watch({
        all(entries) {
          sink.all(new Map([...entries, ...given]));
          told();
        },
        changed: (id, entry) => sink.changed(id, entry),
        gone: (id) => sink.gone(id),
        stale: (since, why) => sink.stale(since, why),
      }),
    complete: () => Promise.resolve(),
  };
}

/** The lease that the node has, else the subnets that it had: only a new one cannot be foretold. */
function leaseBefore(
  own: Lease | undefined,
  { attributes, network, previous }: LeaseWish,
  name: string,
): Lease {
  const lease = own ?? { id: 'this node', ...asNetworks(previous), attributes };
  if (fits(network, lease)) return { ...lease, attributes };
  throw new RegistryError(
    `what would change cannot be told: this node has no lease in the ${name}, and no subnet file of before names a subnet ` +
      'of this network, so it would get a new one',
    { permanent: true },
  );
}

const asNetworks = ({ subnet, ipv6Subnet }: LeaseWish['previous']) => ({
  ...(subnet && { subnet: networkOf(subnet) }),
  ...(ipv6Subnet && { ipv6Subnet: networkOf(ipv6Subnet) }),
});

interface Plan {
  readonly lease: Lease;
  readonly interface: string;
  readonly operations: readonly Operation[];
  readonly foreign: readonly string[];
  readonly refused: readonly Refusal[];
  readonly subnetFile: {
    readonly name: string;
    readonly text: string | undefined;
    readonly wanted: string | undefined;
  };
  readonly sysctls: readonly string[];
  readonly firewall: readonly string[];
}

function planText(plan: Plan): string {
  const { lease, operations, foreign, refused, subnetFile, firewall } = plan;
  const { publicIP, publicIPv6 } = lease.attributes;
  const [subnets, addresses] = [
    [lease.subnet, lease.ipv6Subnet],
    [publicIP, publicIPv6],
  ].map((both) => both.filter((each) => each !== undefined).join(' and '));
  const sameFile = subnetFile.text === subnetFile.wanted;
  return [
    `This node would have the subnet ${subnets} and be reached at ${addresses} on ${plan.interface}.`,
    ...section('In the kernel it would', operations.map(describe), 'In the kernel it would change nothing.'),
    ...section('It would leave alone, though it is in the way', foreign),
    ...section(
      'It would refuse the leases of',
      refused.map(({ id, reason }) => `${id}: ${reason}`),
    ),
    ...section(
      `It would write ${subnetFile.name}`,
      sameFile ? [] : (subnetFile.wanted ?? '').trimEnd().split('\n'),
      `It would leave ${subnetFile.name} as it is.`,
    ),
    ...section('It would set', plan.sysctls),
    ...section('It would write firewall rules', firewall, 'It would leave the firewall rules as they are.'),
    'Nothing has been changed.',
    '',
  ].join('\n');
}

function section(title: string, lines: readonly string[], otherwise?: string): string[] {
  if (lines.length > 0) return [`${title}:`, ...lines.map((line) => `  ${line}`)];
  return otherwise === undefined ? [] : [otherwise];
}
