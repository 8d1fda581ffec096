/** What a cluster can be made of. */
export const axes = {
  backend: ['vxlan', 'vxlan DirectRouting', 'host-gw', 'wireguard'],
  family: ['v4', 'v6', 'dual'],
  rules: ['iptables', 'nftables'],
  registry: ['directory', 'etcd', 'kubernetes'],
} as const;

export type Axis = keyof typeof axes;
export type Combination = { readonly [A in Axis]: (typeof axes)[A][number] };

const { backend: backends, family: families, rules, registry: registries } = axes;

/**
 * Twelve of the 72: each backend with each family, and the other two axes walked along the diagonals, so that any two
 * values of two axes meet in one of them.
 */
export const combinations: readonly Combination[] = backends.flatMap((backend, row) =>
  families.map((family, column) => ({
    backend,
    family,
    rules: turn(rules, row + column),
    registry: turn(registries, row + column),
  })),
);

/** `vxlan DirectRouting, dual, nftables, etcd` */
export const title = ({ backend, family, rules: writer, registry }: Combination): string =>
  `${backend}, ${family}, ${writer}, ${registry}`;

/** The families of its pods' addresses. */
export const versions = ({ family }: Combination): readonly (4 | 6)[] =>
  (({ v4: [4], v6: [6], dual: [4, 6] }) as const)[family];

function turn<T>(values: readonly T[], at: number): T {
  return values[at % values.length] as T;
}
