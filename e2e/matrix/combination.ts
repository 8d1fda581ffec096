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
 * Every backend with every family and every kind of rules: 24. The registries, of which a packet knows nothing, go round
 * among them, so that each meets each value of the other axes.
 */
export const combinations: readonly Combination[] = backends.flatMap((backend, i) =>
  families.flatMap((family, j) =>
    rules.map((writer, k) => ({
      backend,
      family,
      rules: writer,
      registry: registries[(i + j + k) % registries.length] as Combination['registry'],
    })),
  ),
);

/** `vxlan DirectRouting, dual, nftables, etcd` */
export const title = ({ backend, family, rules: writer, registry }: Combination): string =>
  `${backend}, ${family}, ${writer}, ${registry}`;

/** The families of its pods' addresses. */
export const versions = ({ family }: Combination): readonly (4 | 6)[] =>
  (({ v4: [4], v6: [6], dual: [4, 6] }) as const)[family];
