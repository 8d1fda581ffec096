import { familyOf } from '../net/address.ts';
import { networkOf, type Prefix } from '../net/prefix.ts';
import { bare, digest, multicast, type PodMasquerade } from './pod-masquerade.ts';

/** The table and chain of the reference, shared by every network and both families. */
export const nftablesTable = 'inet cni_plugins_masquerade';
export const nftablesChain = 'masq_checks';

/** What every rule of an attachment starts its comment with. */
export const nftablesPrefix = (network: string, ifname: string, containerID: string): string =>
  `${networkPrefix(network)}${digest(`${ifname}:${containerID}`, 16)}`;

const networkPrefix = (network: string): string => `${digest(network, 16)}-`;

/** Input for `nft -f -`, one transaction: makes what is missing of the table and adds the attachment's rules. */
export function nftablesSetUp(masquerade: PodMasquerade): string {
  const comment = commentOf(masquerade);
  return script([
    `add table ${nftablesTable}`,
    `add chain ${nftablesTable} ${nftablesChain}`,
    `add chain ${nftablesTable} postrouting { type nat hook postrouting priority srcnat; }`,
    `flush chain ${nftablesTable} postrouting`,
    `add rule ${nftablesTable} postrouting ip daddr ${multicast[4]} return`,
    `add rule ${nftablesTable} postrouting ip6 daddr ${multicast[6]} return`,
    `add rule ${nftablesTable} postrouting goto ${nftablesChain}`,
    ...masquerade.addresses.map(
      (address) =>
        `add rule ${nftablesTable} ${nftablesChain} ${matchOf(address)} masquerade comment "${comment}"`,
    ),
  ]);
}

/** A rule as `nft -j list chain` shows it. */
export interface NftablesRule {
  handle: number;
  comment: string;
}

/** The commented rules in the output of `nft -j list chain inet cni_plugins_masquerade masq_checks`. */
export function nftablesRules(listed: string): NftablesRule[] {
  const { nftables } = JSON.parse(listed) as { nftables?: { rule?: Partial<NftablesRule> }[] };
  return (nftables ?? []).flatMap(({ rule }) =>
    rule?.handle === undefined || rule.comment === undefined
      ? []
      : [{ handle: rule.handle, comment: rule.comment }],
  );
}

/** Takes away those of `rules` that belong to the attachment; undefined when there are none. */
export function nftablesTearDown(
  { network, ifname, containerID }: PodMasquerade,
  rules: readonly NftablesRule[],
): string | undefined {
  const prefix = nftablesPrefix(network, ifname, containerID);
  return deletion(rules.filter((rule) => rule.comment.startsWith(prefix)));
}

/** Takes away the rules of `network` that belong to none of the `valid` attachments. */
export function nftablesCollect(
  network: string,
  valid: readonly { ifname: string; containerID: string }[],
  rules: readonly NftablesRule[],
): string | undefined {
  const prefixes = valid.map(({ ifname, containerID }) => nftablesPrefix(network, ifname, containerID));
  return deletion(
    rules.filter(
      ({ comment }) =>
        comment.startsWith(networkPrefix(network)) && !prefixes.some((prefix) => comment.startsWith(prefix)),
    ),
  );
}

function deletion(rules: readonly NftablesRule[]): string | undefined {
  if (rules.length === 0) return undefined;
  return script(rules.map(({ handle }) => `delete rule ${nftablesTable} ${nftablesChain} handle ${handle}`));
}

function matchOf(address: Prefix): string {
  const ip = familyOf(bare(address)) === 4 ? 'ip' : 'ip6';
  return `${ip} saddr ${bare(address)} ${ip} daddr != ${networkOf(address)}`;
}

/** The kernel keeps 128 bytes of comment; a quote would end it. */
function commentOf({ network, ifname, containerID }: PodMasquerade): string {
  const prefix = nftablesPrefix(network, ifname, containerID);
  return `${prefix}, net: ${network}, if: ${ifname}, id: ${containerID}`.replaceAll('"', '').slice(0, 128);
}

const script = (lines: readonly string[]): string => `${lines.join('\n')}\n`;
