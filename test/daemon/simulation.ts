import * as fc from 'fast-check';
import { gatewayOf } from '../../src/daemon/files/subnet-env.ts';
import { parseLastKnown } from '../../src/lease/last-known.ts';
import type { Lease } from '../../src/lease/lease.ts';
import type { Entry } from '../../src/lease/registry.ts';
import { address, familyOf } from '../../src/net/address.ts';
import { prefix, prefixAddress } from '../../src/net/prefix.ts';
import { delLink } from '../../src/netlink/route/link.ts';
import { delNeighbour } from '../../src/netlink/route/neighbour.ts';
import { delRoute } from '../../src/netlink/route/route.ts';
import type { SyncSession } from '../../src/netlink/session.ts';
import { VirtualClock } from '../kit/virtual-clock.ts';
import { SharedLeases } from './shared-leases.ts';
import { SimulatedNode } from './simulated-node.ts';

/** What can happen to a cluster. Nodes go by their numbers; number 1 never leaves for good. */
export type Step =
  | { readonly does: 'start' | 'stop' | 'kill' | 'reboot' | 'move' | 'leave'; readonly node: number }
  /** Another machine with the same name, and so the same subnet. */
  | { readonly does: 'replace'; readonly node: number }
  /** Another machine with another name has the subnet; the old name goes before or after that. */
  | { readonly does: 'inherit'; readonly node: number; readonly first: 'gone' | 'changed' }
  | {
      readonly does: 'vandalise';
      readonly node: number;
      readonly how: Vandalism;
      readonly announced: boolean;
    }
  | { readonly does: 'away' | 'back' }
  | { readonly does: 'lie'; readonly how: keyof typeof lies; readonly takenBack: boolean };

type Vandalism = 'routes' | 'neighbours' | 'device';

const node = fc.integer({ min: 1, max: 4 });

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ does: fc.constant('start' as const), node }) },
  {
    weight: 6,
    arbitrary: fc.record({
      does: fc.constantFrom('stop', 'kill', 'reboot', 'move', 'leave', 'replace'),
      node,
    }),
  },
  fc.record({ does: fc.constant('inherit' as const), node, first: fc.constantFrom('gone', 'changed') }),
  {
    weight: 2,
    arbitrary: fc.record({
      does: fc.constant('vandalise' as const),
      node,
      how: fc.constantFrom('routes', 'neighbours', 'device'),
      announced: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ does: fc.constantFrom('away', 'back') }) },
  fc.record({
    does: fc.constant('lie' as const),
    how: fc.constantFrom('torn', 'outside', 'thief', 'loopback', 'otherBackend', 'unreachable', 'whole'),
    takenBack: fc.boolean(),
  }),
) as fc.Arbitrary<Step>;

export const steps: fc.Arbitrary<readonly { step: Step; hurry: boolean }[]> = fc.array(
  fc.record({ step, hurry: fc.boolean() }),
  { minLength: 4, maxLength: 14 },
);

/** Entries that no node may believe. */
const lies = {
  torn: () => ({ unreadable: 'it is no JSON' }),
  outside: (backendType) => lie({ backendType, subnet: '10.9.0.0/24' }),
  thief: (backendType) => lie({ backendType, subnet: '10.244.1.128/25' }),
  whole: (backendType) => lie({ backendType, subnet: '10.244.0.0/16' }),
  loopback: (backendType) => lie({ backendType, publicIP: '127.0.0.1' }),
  otherBackend: () => lie({ backendType: 'ipip' }),
  /** vxlan needs a MAC that can be a device's, host-gw an address without a router between. */
  unreachable: (backendType) =>
    backendType === 'vxlan'
      ? lie({ backendType, VtepMAC: '03:00:00:00:0b:ad' })
      : lie({ backendType, publicIP: '203.0.113.201', publicIPv6: '2001:db8:1::bad' }),
} as const satisfies Record<string, (backendType: string) => Entry>;

function lie({
  backendType,
  subnet = '10.244.201.0/24',
  publicIP = '192.0.2.201',
  publicIPv6 = '2001:db8::bad',
  VtepMAC = '02:00:00:00:0b:ad',
}: Readonly<Partial<Record<'subnet' | 'publicIP' | 'publicIPv6' | 'VtepMAC', string>>> & {
  backendType: string;
}): Entry {
  const attributes = {
    backendType,
    publicIP: address(publicIP),
    publicIPv6: address(publicIPv6),
    backendData: { VNI: 1, VtepMAC },
    backendV6Data: { VNI: 1, VtepMAC },
  };
  return {
    lease: { id: 'liar', subnet: prefix(subnet), ipv6Subnet: prefix('fd00:244:0:bad::/64'), attributes },
  };
}

/** Whole nodes in one process, on time that passes only when told to. */
export class Simulation implements AsyncDisposable {
  readonly clock = new VirtualClock();
  readonly leases = new SharedLeases(this.clock);
  readonly nodes = new Map<number, SimulatedNode>();
  readonly #backend: string;
  readonly #config: object;
  readonly #random: (bytes: number) => Uint8Array;
  #addresses = 0;
  /** The step before has not worked out yet. */
  #unsettled = false;
  #askedInVain = false;

  constructor(backend: 'vxlan' | 'host-gw' = 'vxlan', config: object = {}) {
    this.#backend = backend;
    this.#config = { Network: '10.244.0.0/16', Backend: { Type: backend }, ...config };
    let seed = 7;
    const next = () => (seed = (seed * 48_271) % 2_147_483_647) & 255;
    this.#random = (bytes) => Uint8Array.from({ length: bytes }, next);
  }

  node(n: number): SimulatedNode {
    const known = this.nodes.get(n);
    if (known !== undefined) return known;
    const cluster = { clock: this.clock, leases: this.leases, random: this.#random, config: this.#config };
    const made = new SimulatedNode(`node-${n}`, this.#newAddresses(), cluster);
    this.nodes.set(n, made);
    return made;
  }

  #newAddresses(): string[] {
    const n = ++this.#addresses;
    return [`192.0.2.${n}`, `2001:db8::${n.toString(16)}`];
  }

  /**
   * Does it, lets it work out, and throws an Error when a node is not as it must be; in a hurry the next step comes some
   * milliseconds later.
   */
  async play(step: Step, hurry = false): Promise<void> {
    const wasBlind = this.leases.isAway && !this.#unsettled;
    this.#unsettled = hurry;
    for (const { kernel } of this.nodes.values()) kernel.requests.splice(0);
    this.#do(step);
    if (hurry) return this.clock.advance(3);
    // What waits for the registry asks every 15 seconds at most; what was learned is on the disc after one.
    await this.clock.advance(this.#askedInVain && !this.leases.isAway ? 16_000 : 1200);
    this.#askedInVain &&= this.leases.isAway;
    const moved = step.does === 'move' || step.does === 'vandalise' ? step.node : undefined;
    for (const [n, node] of this.nodes) {
      const failure = this.leases.isAway
        ? [...(wasBlind && n !== moved ? removalsOf(node) : []), ...blindFaults(node)]
        : this.#faults(node);
      if (failure.length > 0) {
        throw new Error([`${node.id} after ${JSON.stringify(step)}:`, ...failure, ...node.log].join('\n'));
      }
    }
  }

  #do(step: Step): void {
    if ('node' in step) return this.#doWith(this.node(step.node), step);
    switch (step.does) {
      case 'away':
        this.#askedInVain = true;
        return this.leases.isAway ? undefined : this.leases.away();
      case 'back':
        return this.leases.isAway ? this.leases.back() : undefined;
      case 'lie':
        return step.takenBack
          ? this.leases.remove('liar')
          : this.leases.put('liar', lies[step.how](this.#backend));
    }
  }

  #doWith(node: SimulatedNode, step: Extract<Step, { readonly node: number }>): void {
    switch (step.does) {
      case 'start':
        return node.flanneld === undefined ? node.start() : undefined;
      case 'stop':
        return node.stop();
      case 'kill':
        return node.kill();
      case 'reboot':
        node.reboot();
        return node.start();
      case 'move':
        return node.readdress(this.#newAddresses());
      case 'leave':
        if (step.node === 1) return;
        node.kill();
        return this.leases.remove(node.id);
      case 'replace':
        node.kill();
        this.nodes.delete(step.node);
        return this.node(step.node).start();
      case 'vandalise':
        if (step.announced) return node.outside((session) => vandalise(node, step.how, session));
        return node.kernel.loseNotifications(() =>
          node.outside((session) => vandalise(node, step.how, session)),
        );
      case 'inherit':
        return this.#inherit(step.node, step.first);
    }
  }

  #inherit(n: number, first: 'gone' | 'changed'): void {
    const before = this.leases.lease(`node-${n}`);
    if (n === 1 || before === undefined) return;
    this.node(n).kill();
    const [publicIP = '', publicIPv6 = ''] = this.#newAddresses();
    const attributes = { ...before.attributes, publicIP: address(publicIP), publicIPv6: address(publicIPv6) };
    const data = { VNI: 1, VtepMAC: `02:00:00:00:00:${this.#addresses.toString(16).padStart(2, '0')}` };
    if (attributes.backendData !== undefined) attributes.backendData = data;
    if (attributes.backendV6Data !== undefined) attributes.backendV6Data = data;
    const id = `heir-${this.#addresses}`;
    if (first === 'gone') this.leases.remove(before.id);
    this.leases.put(id, { lease: { ...before, id, attributes } });
    if (first === 'changed') this.leases.remove(before.id);
  }

  /** How a node's kernel differs from what the leases say. */
  #faults(node: SimulatedNode): string[] {
    if (node.flanneld === undefined) return [];
    const own = this.leases.lease(node.id);
    if (own === undefined) return [`it has no lease: ${String(node.failure)}`];
    const peers = [...this.leases.entries].flatMap(([id, entry]) =>
      'lease' in entry && id !== node.id && id !== 'liar' ? [entry.lease] : [],
    );
    const expected = [...foreign, ...ownLines(own, node), ...peers.flatMap(peerLines)];
    const shown = node.shown();
    return [
      ...missing(expected, shown),
      ...shown.filter((line) => !expected.includes(line)).map((line) => `+ ${line}`),
      ...(new Set(shown).size === shown.length ? [] : ['something is there twice']),
      ...this.#untold(node, own),
      ...troubles(node),
    ];
  }

  /** Whoever lies is named; pods are told the subnet that the lease has. */
  #untold(node: SimulatedNode, { subnet }: Lease): string[] {
    const refused = node.flanneld?.status().refused.map(({ id }) => id) ?? [];
    const liars = this.leases.entries.has('liar') ? ['liar'] : [];
    const env = `FLANNEL_SUBNET=${subnet === undefined ? '' : gatewayOf(subnet)}\n`;
    return [
      ...(refused.join() === liars.join() ? [] : [`it refuses ${refused.join()}, not ${liars.join()}`]),
      ...(node.subnetEnv?.includes(env) === true ? [] : [`its subnet.env lacks ${env}: ${node.subnetEnv}`]),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes.values()) await node[Symbol.asyncDispose]();
  }
}

const foreign = [
  'route 0.0.0.0/0 via 192.0.2.254 eth0 4',
  'route ::/0 via 2001:db8::fe eth0 4',
  'route 198.51.100.0/24 via 192.0.2.254 eth0 4',
  'route 203.0.113.0/24 via 192.0.2.254 eth0 3',
  'route 10.244.200.0/24 via 192.0.2.254 eth0 3',
  'neighbour 192.0.2.254 02:00:00:00:00:fe eth0',
];

/** As flannel has it: what a node's lease and each peer's mean for the kernel. */
interface Half {
  readonly device: string;
  readonly subnet: string | undefined;
  readonly length: number;
  readonly mac: string;
  readonly publicIP: string | undefined;
}

function halvesOf({ subnet, ipv6Subnet, attributes }: Lease): Half[] {
  const macOf = (data: unknown) => (data as { VtepMAC?: string } | undefined)?.VtepMAC ?? '';
  return [
    {
      device: 'flannel.1',
      subnet,
      length: 32,
      mac: macOf(attributes.backendData),
      publicIP: attributes.publicIP,
    },
    {
      device: 'flannel-v6.1',
      subnet: ipv6Subnet,
      length: 128,
      mac: macOf(attributes.backendV6Data),
      publicIP: attributes.publicIPv6,
    },
  ].filter((half) => half.subnet !== undefined);
}

function ownLines(lease: Lease, { addresses }: SimulatedNode): string[] {
  if (lease.attributes.backendType === 'host-gw') return [];
  return halvesOf(lease).flatMap(({ device, subnet, length, mac }) => [
    `link ${device} ${mac} local ${addresses.find((each) => familyOf(each) === (length === 32 ? 4 : 6))} up`,
    `address ${baseOf(subnet)}/${length} ${device}`,
  ]);
}

function peerLines(lease: Lease): string[] {
  if (lease.attributes.backendType === 'host-gw') {
    return halvesOf(lease).map(({ subnet, publicIP }) => `route ${subnet} via ${publicIP} eth0 241`);
  }
  return halvesOf(lease).flatMap(({ device, subnet, mac, publicIP }) => [
    `neighbour ${baseOf(subnet)} ${mac} ${device}`,
    `fdb ${publicIP} ${mac} ${device}`,
    `route ${subnet} via ${baseOf(subnet)} ${device} 241`,
  ]);
}

const baseOf = (subnet: string | undefined): string => prefixAddress(prefix(subnet ?? ''));

const missing = (expected: readonly string[], shown: readonly string[]): string[] =>
  expected.filter((line) => !shown.includes(line)).map((line) => `- ${line}`);

const troubles = ({ ready, flanneld }: SimulatedNode): string[] => [
  ...(ready ? [] : [`it waits for ${flanneld?.waitingFor.join()}`]),
  ...(flanneld?.status().kernel.failed ?? []).map(({ why }) => `! ${why}`),
];

/** A device that is made anew says nothing of peers: what was on it must be there again. */
const removalsOf = ({ kernel }: SimulatedNode): string[] =>
  kernel.requests
    .filter(({ name }) => name.startsWith('RTM_DEL') && name !== 'RTM_DELLINK')
    .map(({ name, value }) => `${name} while blind: ${JSON.stringify(value)}`);

/** Without a registry a node works with what is on its disc. */
function blindFaults(node: SimulatedNode): string[] {
  if (node.flanneld === undefined || node.state === undefined) return [];
  const { own, peers } = parseLastKnown(node.state, 'state.json');
  const believed = peers.filter(({ id }) => id !== 'liar');
  const expected = [...foreign, ...ownLines(own, node), ...believed.flatMap(peerLines)];
  return [...missing(expected, node.shown()), ...troubles(node)];
}

/** Somebody takes away what the daemon made. */
function vandalise({ kernel }: SimulatedNode, how: Vandalism, session: SyncSession): void {
  switch (how) {
    case 'routes':
      for (const each of kernel.routes) if (each.rtm_protocol === 241) session.request(delRoute(each));
      return;
    case 'neighbours':
      for (const each of kernel.neighbours) if (each.ndm_ifindex !== 2) session.request(delNeighbour(each));
      return;
    case 'device':
      if (kernel.linkNamed('flannel.1') !== undefined) session.request(delLink({ IFLA_IFNAME: 'flannel.1' }));
  }
}
