import { ipipLink } from './ipip-link.ts';
import type { LinkKind } from './link-kind.ts';
import type { LinkInfo } from './object.ts';
import { vxlanLink } from './vxlan-link.ts';
import { wireguardLink } from './wireguard-link.ts';

type Kind = LinkInfo['kind'];

const kinds: { readonly [K in Kind]: LinkKind<Extract<LinkInfo, { kind: K }>> } = {
  vxlan: vxlanLink,
  ipip: ipipLink,
  wireguard: wireguardLink,
};

/** What is to be known of the kind that `info` is of. */
export const kindOf = <Info extends LinkInfo>({ kind }: Info): LinkKind<Info> =>
  kinds[kind] as unknown as LinkKind<Info>;

/** All kinds of links that we make. */
export const linkKinds: readonly LinkKind<LinkInfo>[] = Object.values(kinds) as never;
