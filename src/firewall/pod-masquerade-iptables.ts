import type { Family } from '../net/address.ts';
import { networkOf, type Prefix } from '../net/prefix.ts';
import { addressesOfFamily, bare, digest, multicast, type PodMasquerade } from './pod-masquerade.ts';

/** The chain in table nat that holds the rules of all of a container's interfaces in a network. */
export const chainOf = (network: string, containerID: string): string =>
  `CNI-${digest(network + containerID, 24)}`;

/** The comment on every rule, as the reference writes it. */
const iptablesComment = (network: string, containerID: string): string =>
  `name: ${JSON.stringify(network)} id: ${JSON.stringify(containerID)}`;

/**
 * Input for `iptables-restore --noflush` (ip6tables-restore for 6) that puts the rules of `masquerade` in
 * place in one transaction; undefined when it has no address of this family. The chain is written anew, so
 * it needs `others`: the addresses of the container's other interfaces in the same network.
 */
export function iptablesSetUp(
  masquerade: PodMasquerade,
  family: Family,
  others: readonly Prefix[] = [],
): string | undefined {
  const addresses = addressesOfFamily(masquerade.addresses, family);
  if (addresses.length === 0) return undefined;
  const chain = chainOf(masquerade.network, masquerade.containerID);
  const comment = commentOption(masquerade);
  return transaction([
    ...chainRules(masquerade, family, [...addressesOfFamily(others, family), ...addresses]),
    ...addresses.map((address) => `-A POSTROUTING -s ${bare(address)} ${comment} -j ${chain}`),
  ]);
}

/**
 * The same for taking the rules away, from what `iptables-save -t nat` shows now; undefined when there is
 * nothing of it. While `others` are left the chain stays, with their rules.
 */
export function iptablesTearDown(
  masquerade: PodMasquerade,
  family: Family,
  saved: string,
  others: readonly Prefix[] = [],
): string | undefined {
  const chain = chainOf(masquerade.network, masquerade.containerID);
  const kept = addressesOfFamily(others, family);
  const keep = (rule: string) => kept.some((address) => rule.includes(` -s ${bare(address)}/`));
  const lines = saved.split('\n');
  const jumps = lines.filter((line) => line.startsWith('-A POSTROUTING ') && line.endsWith(` -j ${chain}`));
  const deletions = jumps.filter((line) => !keep(line)).map((line) => line.replace('-A', '-D'));
  if (!lines.some((line) => line.startsWith(`:${chain} `))) return undefined;
  if (jumps.length > deletions.length) {
    return transaction([...chainRules(masquerade, family, kept), ...deletions]);
  }
  return transaction([...deletions, `-F ${chain}`, `-X ${chain}`]);
}

/**
 * What takes away exactly the rules of {@link iptablesSetUp}, whole or not at all: refused where something of them is
 * missing. Undefined when it is not known what they are.
 */
export function iptablesUndo(
  masquerade: PodMasquerade,
  family: Family,
  others: readonly Prefix[] = [],
): string | undefined {
  const addresses = addressesOfFamily(masquerade.addresses, family);
  if (addresses.length === 0 || addressesOfFamily(others, family).length > 0) return undefined;
  const chain = chainOf(masquerade.network, masquerade.containerID);
  const comment = commentOption(masquerade);
  return transaction([
    ...addresses.map((address) => `-D POSTROUTING -s ${bare(address)} ${comment} -j ${chain}`),
    `-F ${chain}`,
    `-X ${chain}`,
  ]);
}

/** The containers of `network` that have a chain in the output of `iptables-save -t nat`. */
export function iptablesContainers(saved: string, network: string): string[] {
  const pattern = / --comment "name: \\"([^"\\]+)\\" id: \\"([^"\\]+)\\"" -j CNI-[0-9a-f]{24}$/;
  const found = saved.split('\n').flatMap((line) => {
    const [, name, containerID] = (line.startsWith('-A POSTROUTING ') && pattern.exec(line)) || [];
    return name === network && containerID !== undefined ? [containerID] : [];
  });
  return [...new Set(found)];
}

/** A chain that is declared is emptied or made; all ACCEPTs stand before the rule that ends it. */
function chainRules(masquerade: PodMasquerade, family: Family, addresses: readonly Prefix[]): string[] {
  const chain = chainOf(masquerade.network, masquerade.containerID);
  const comment = commentOption(masquerade);
  const networks = [...new Set(addresses.map((address) => networkOf(address)))];
  return [
    `:${chain} - [0:0]`,
    ...networks.map((network) => `-A ${chain} -d ${network} ${comment} -j ACCEPT`),
    `-A ${chain} ! -d ${multicast[family]} ${comment} -j MASQUERADE`,
  ];
}

/** The chain names keep the characters that CNI allows in names, none of which needs escaping but the quotes. */
function commentOption({ network, containerID }: PodMasquerade): string {
  const text = iptablesComment(network, containerID).replaceAll('"', '\\"');
  return `-m comment --comment "${text}"`;
}

const transaction = (lines: readonly string[]): string => ['*nat', ...lines, 'COMMIT', ''].join('\n');
