import { type Family, familyOf } from '../../net/address.ts';
import { prefixFamily } from '../../net/prefix.ts';
import { error, type Finding, hint, named, type ValidationInput } from './finding.ts';

const shown = (families: ReadonlySet<Family>): string =>
  ([4, 6] as const)
    .filter((family) => families.has(family))
    .map((family) => `IPv${family}`)
    .join(' and ');

/** One range, or one of each family; and the same families everywhere. */
export function families(input: ValidationInput): Finding[] {
  const { options } = input;
  const counted = (['cluster-cidr', 'service-cidr'] as const).flatMap((option) =>
    ([4, 6] as const).flatMap((family) => {
      const ranges = options[option].filter((range) => prefixFamily(range) === family);
      if (ranges.length < 2) return [];
      return [
        error(
          `${named(input, option)} has ${ranges.length} IPv${family} ranges (${ranges.join(', ')}): one of each family is possible`,
        ),
      ];
    }),
  );
  const cluster = clusterFamilies(input);
  const others = [
    ['service-cidr', new Set(options['service-cidr'].map(prefixFamily)), 'services'],
    ['node-ip', new Set(options['node-ip'].map(familyOf)), 'nodes'],
  ] as const;
  const differing = others.flatMap(([option, given, whose]) => {
    if (given.size === 0 || shown(given) === shown(cluster.set)) return [];
    return [
      error(
        `${cluster.name} is ${shown(cluster.set)}, and ${named(input, option)} is ${shown(given)}: pods and ${whose} need the same families`,
      ),
    ];
  });
  return [...counted, ...differing, ...nodeOrder(input)];
}

function clusterFamilies(input: ValidationInput): { name: string; set: Set<Family> } {
  const { ipv4, ipv6 } = input.network.config.network;
  const asked = input.options['cluster-cidr'];
  const ranges = asked.length > 0 ? asked : [ipv4, ipv6].flatMap((range) => range ?? []);
  return {
    name: asked.length > 0 ? named(input, 'cluster-cidr') : 'the network',
    set: new Set(ranges.map(prefixFamily)),
  };
}

/** kubelet takes the first. */
function nodeOrder(input: ValidationInput): Finding[] {
  const [range] = input.options['cluster-cidr'];
  const [first, second] = input.options['node-ip'];
  if (range === undefined || first === undefined || second === undefined) return [];
  if (familyOf(first) === prefixFamily(range)) return [];
  return [
    hint(
      `${named(input, 'node-ip')} begins with IPv${familyOf(first)}, ${named(input, 'cluster-cidr')} with IPv${prefixFamily(range)}: ` +
        `write ${second},${first}, so that kubelet takes the same first`,
    ),
  ];
}
