import fc from 'fast-check';
import type { ActualObject } from '../../src/kernel/actual.ts';
import type { Ownership } from '../../src/kernel/desired.ts';
import type { KernelObject, Link, VxlanInfo } from '../../src/kernel/object.ts';
import { address } from '../../src/net/address.ts';
import { mac } from '../../src/net/mac.ts';
import { prefix } from '../../src/net/prefix.ts';

/** A world so small that what is desired and what is there meet often. */

export const ownership: Ownership = {
  links: new Set(['flannel.1', 'flannel-v6.1']),
  networks: [prefix('10.244.0.0/16'), prefix('fd00:10:244::/56')],
  isFlannelRoute: (destination, gateway) => destination === '10.244.2.0/24' && gateway === '192.0.2.2',
};

const ourNames = ['flannel.1', 'flannel-v6.1'];
const macs = ['02:00:00:00:00:01', '02:00:00:00:00:02'].map(mac);
const gateways = ['10.244.2.0', '192.0.2.2'].map(address);

const vxlanInfo: fc.Arbitrary<VxlanInfo> = fc.record({
  kind: fc.constant('vxlan' as const),
  vni: fc.constantFrom(1, 2),
  lower: fc.constant('eth0'),
  local: fc.constant(address('192.0.2.1')),
  port: fc.constant(8472),
  learning: fc.boolean(),
  gbp: fc.constant(false),
});

const link: fc.Arbitrary<Link> = fc.record(
  {
    kind: fc.constant('link' as const),
    name: fc.constantFrom(...ourNames),
    mtu: fc.constantFrom(1450, 1430),
    mac: fc.constantFrom(...macs),
    info: vxlanInfo,
  },
  { requiredKeys: ['kind', 'name', 'mtu', 'info'] },
);

const onLink = { link: fc.constantFrom(...ourNames) };

const hanging: fc.Arbitrary<KernelObject> = fc.oneof(
  fc.record({
    kind: fc.constant('address' as const),
    address: fc.constantFrom(...['10.244.1.0/32', '10.244.9.0/32', '198.51.100.1/32'].map(prefix)),
    ...onLink,
  }),
  fc.record({
    kind: fc.constant('neighbour' as const),
    address: fc.constantFrom(...gateways),
    mac: fc.constantFrom(...macs),
    ...onLink,
  }),
  fc.record({
    kind: fc.constant('fdb' as const),
    mac: fc.constantFrom(...macs),
    remote: fc.constantFrom(...gateways),
    ...onLink,
  }),
);

const route = (links: readonly string[], protocols: readonly number[]) =>
  fc.record(
    {
      kind: fc.constant('route' as const),
      destination: fc.constantFrom(...['10.244.2.0/24', '10.244.3.0/24', 'fd00:10:244:2::/64'].map(prefix)),
      metric: fc.constantFrom(0, 1024),
      gateway: fc.constantFrom(...gateways),
      link: fc.constantFrom(...links),
      onlink: fc.boolean(),
      protocol: fc.constantFrom(...protocols),
      mtu: fc.constant(1400),
    },
    { requiredKeys: ['kind', 'destination', 'metric', 'gateway', 'link', 'onlink', 'protocol'] },
  );

export const desiredObjects: fc.Arbitrary<KernelObject[]> = fc.array(
  fc.oneof(link, hanging, route([...ourNames, 'eth0'], [241])),
  { maxLength: 14 },
);

const actualLink: fc.Arbitrary<ActualObject> = fc.record({
  kind: fc.constant('link' as const),
  name: fc.constantFrom(...ourNames),
  mtu: fc.constantFrom(1450, 1430),
  mac: fc.constantFrom(...macs),
  up: fc.boolean(),
  info: fc.oneof(vxlanInfo, fc.constant({ kind: 'other' as const, is: 'bridge' })),
});

/** What hangs on a link that is not among them is left out by {@link isPossible}. */
export const actualObjects: fc.Arbitrary<ActualObject[]> = fc
  .array(
    fc.oneof(
      actualLink,
      hanging as fc.Arbitrary<ActualObject>,
      route([...ourNames, 'eth0'], [241, 3, 4, 2]) as fc.Arbitrary<ActualObject>,
    ),
    { maxLength: 14 },
  )
  .map((objects) => objects.filter((object) => isPossible(object, objects)));

function isPossible(object: ActualObject, all: readonly ActualObject[]): boolean {
  if (object.kind === 'link' || object.link === undefined || object.link === 'eth0') return true;
  return all.some((other) => other.kind === 'link' && other.name === object.link);
}
