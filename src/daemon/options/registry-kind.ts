import { UsageError } from './go-flags.ts';
import { type OptionName, type Options, options as definitions } from './options.ts';

export type RegistryKind = 'etcd' | 'directory' | 'kubernetes';

/** The options that say where the leases are. */
const naming: readonly (readonly [OptionName, RegistryKind])[] = [
  ['kube-subnet-mgr', 'kubernetes'],
  ['lease-dir', 'directory'],
  ['etcd-endpoints', 'etcd'],
];

/**
 * Where the nodes keep their leases; without a word about it in etcd, as by Go flannel. `sources` says where an option was
 * given. Throws a {@link UsageError} when two registries are named.
 */
export function registryKind(options: Options, sources: ReadonlyMap<OptionName, string>): RegistryKind {
  const named = naming.filter(([name]) => options[name] !== definitions[name].initial);
  const [first, second] = named;
  if (first !== undefined && second !== undefined) {
    const [one, other] = [first, second].map(([name]) => sources.get(name) ?? `--${name}`);
    throw new UsageError(`${one} and ${other} name two registries: leave one of them out`);
  }
  return first?.[1] ?? 'etcd';
}
