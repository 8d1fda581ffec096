import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { networkOf, prefix, prefixAddress } from '../src/net/prefix.ts';
import { seenAs, tellCallers } from './lab/caller.ts';
import { until } from './lab/command.ts';
import { MatrixCluster } from './matrix/cluster.ts';
import { type Combination, combinations, title, versions } from './matrix/combination.ts';
import type { MatrixNode } from './matrix/node.ts';
import type { BarePod } from './matrix/pod.ts';
import { outside, Site } from './matrix/site.ts';

let site: Site;
beforeAll(async () => {
  site = await Site.start();
  await tellCallers(site.router);
});
afterAll(() => site?.stop());

describe('the matrix', () => {
  for (const combination of combinations) {
    test(title(combination), async () => {
      const cluster = await MatrixCluster.start(site, combination);
      onTestFinished(() => cluster.stop());
      const [first, second] = await Promise.all([cluster.join(1), cluster.join(2)]);
      const [pod, neighbour, far] = await Promise.all([
        first.pod('pod'),
        first.pod('neighbour'),
        second.pod('far'),
      ]);
      await Promise.all([tellCallers(pod), tellCallers(far)]);
      for (const version of versions(combination)) {
        await reach([neighbour], pod, [version]);
        await reach([neighbour], far, [version]);
        expect(await first.wayTo(far.address(version))).toBe(way(combination, version));
        await carry(first.subnets.mtu, neighbour, pod.address(version));
        await carry(largest[combination.backend][version], neighbour, far.address(version));
        for (const to of [pod, far]) {
          const seen = await seenAs(neighbour, to.address(version));
          expect(seen, `its neighbour, as ${to.name} sees it`).toBe(neighbour.address(version));
        }
        const seen = await seenAs(pod, outside[version]);
        expect(seen, 'a pod, as the world sees it').toBe(first.address(version));
      }
      expect(await rulesOf(first)).toEqual([combination.rules]);

      const third = await cluster.join(3);
      await reach([pod, far], await third.pod('third'), versions(combination));
      const heir = await cluster.replace(third);
      expect(heir.subnetFile).toBe(third.subnetFile);
      await reach([pod, far], await heir.pod('heir'), versions(combination));
      await forget([first, second], addresses(third, combination));
      await know([first, second], [...addresses(heir, combination), ...networks(heir)]);

      await cluster.remove(heir);
      await forget([first, second], [...addresses(heir, combination), ...networks(heir)]);
      await reach([pod], far, versions(combination));
    });
  }
});

/** The device by which a node sends to another node's pods. */
function way({ backend }: Combination, version: 4 | 6): string {
  const tunnels = {
    vxlan: ['flannel.1', 'flannel-v6.1'],
    wireguard: ['flannel-wg', 'flannel-wg-v6'],
  } as const;
  const tunnel = backend === 'vxlan' || backend === 'wireguard' ? tunnels[backend] : undefined;
  return tunnel?.[version === 4 ? 0 : 1] ?? 'eth0';
}

/** A node's first pod waits up to two seconds for the bridge's link-local address; WireGuard for its handshake. */
async function reach(froms: readonly BarePod[], to: BarePod, families: readonly (4 | 6)[]): Promise<void> {
  for (const from of froms) {
    for (const address of families.map((version) => to.address(version))) {
      await until(`a way from ${from.name} to ${to.name}, ${address}`, 20, () => from.reaches(address));
    }
  }
}

/** The largest packet to a pod of another node: what the underlay's 1500 bytes leave. */
const largest = {
  vxlan: { 4: 1450, 6: 1430 },
  'vxlan DirectRouting': { 4: 1450, 6: 1430 },
  'host-gw': { 4: 1500, 6: 1500 },
  wireguard: { 4: 1420, 6: 1420 },
} as const;

async function carry(bytes: number, from: BarePod, address: string): Promise<void> {
  expect(await from.reaches(address, bytes), `${bytes} bytes to ${address}`).toBe(true);
}

/** Who has flannel's rules. */
async function rulesOf({ machine }: MatrixNode): Promise<string[]> {
  const saved = await machine.shell('iptables-save; ip6tables-save');
  const tables = await machine.exec(['nft', 'list', 'tables']);
  return [
    ...(saved.includes('FLANNEL-') ? ['iptables'] : []),
    ...(/flannel-ipv[46]/.test(tables) ? ['nftables'] : []),
  ];
}

const addresses = (node: MatrixNode, combination: Combination): string[] =>
  versions(combination).map((version) => node.address(version));

const networks = ({ subnets: { subnet, ipv6Subnet } }: MatrixNode): string[] =>
  [subnet, ipv6Subnet]
    .filter((text) => text !== undefined)
    .map((text) => prefixAddress(networkOf(prefix(text))));

/** In these nodes' kernels something has to do with each of the addresses; or nothing with any of them, any more. */
async function know(nodes: readonly MatrixNode[], about: readonly string[], whether = true): Promise<void> {
  for (const node of nodes) {
    for (const address of about) {
      const more = address.includes(':') ? '[0-9a-f:]' : '[0-9.]'; // after an IPv4 address there may be a port
      const named = new RegExp(`(?<!${more})${address.replaceAll('.', '\\.')}(?!${more})`);
      const what = `${node.name} ${whether ? 'knows' : 'has forgotten'} ${address}`;
      await until(what, 15, async () => named.test(await node.traces()) === whether);
    }
  }
}

const forget = (nodes: readonly MatrixNode[], about: readonly string[]) => know(nodes, about, false);
