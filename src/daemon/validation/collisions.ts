import { containsAddress, containsPrefix, overlaps, type Prefix } from '../../net/prefix.ts';
import { error, type Finding, named, type NodeRange, type ValidationInput, warning } from './finding.ts';

/** Ranges that overlap: the pods', the services', those of the node. */
export function collisions(input: ValidationInput): Finding[] {
  const { options, network, nodeRanges, previous } = input;
  const { ipv4, ipv6 } = network.config.network;
  const pods = [ipv4, ipv6].flatMap((range) => range ?? []);
  const services = options['service-cidr'];
  const podsName = input.sources.get('cluster-cidr') ?? 'the network';
  const servicesName = named(input, 'service-cidr');
  const between = pods.flatMap((range) =>
    services
      .filter((service) => overlaps(range, service))
      .map((service) =>
        error(
          `${podsName} ${range} and ${servicesName} ${service} overlap: pods and services need ranges of their own`,
        ),
      ),
  );
  const others = nodeRanges.filter(
    ({ range, link }) => !isFlannels(link) && !previous.some((own) => containsPrefix(own, range)),
  );
  const withNode = [
    ...pods.map((range) => [podsName, range] as const),
    ...services.map((range) => [servicesName, range] as const),
  ].flatMap(([name, range]) => {
    const overlapping = others.filter((other) => overlaps(range, other.range));
    return [
      ...overlapping.flatMap((other) => networkCollision(input, name, range, other)),
      ...routeCollision(name, range, overlapping),
    ];
  });
  return [...between, ...withNode];
}

/** Devices of flannel, its bridge, and those that hold services' addresses. */
const isFlannels = (link: string): boolean => /^(flannel|cni0$|kube-ipvs0$|nodelocaldns$)/.test(link);

/**
 * A larger network around a range loses only a part of itself; one inside of it, or the node's own address, is lost. A node
 * that has worked so keeps working: what overlaps may be a bridge of its pods, and a restart must not take them away.
 */
function networkCollision(
  { network, wasIn }: ValidationInput,
  name: string,
  range: Prefix,
  { range: other, link, address }: NodeRange,
): Finding[] {
  if (address === undefined) return [];
  const text = `${name} ${range} and the network ${other} of ${link} overlap`;
  const isLost = containsAddress(range, address) || containsPrefix(range, other);
  return isLost && !wasIn(network.config.network)
    ? [error(`${text}: choose another range, or take ${link} away if nothing needs it`)]
    : [warning(`${text}: what is in both is out of this node's reach`)];
}

/** So many are named: a router may have thousands. */
const shownRoutes = 3;

function routeCollision(name: string, range: Prefix, overlapping: readonly NodeRange[]): Finding[] {
  const routes = overlapping.filter(({ address }) => address === undefined);
  if (routes.length === 0) return [];
  const first = routes.slice(0, shownRoutes).map(({ range: other, link }) => `${other} by ${link}`);
  const rest = routes.length > shownRoutes ? ` and ${routes.length - shownRoutes} more` : '';
  return [
    warning(
      `${name} ${range} and routes of this node overlap (${first.join(', ')}${rest}): what is in both is out of reach by one of them`,
    ),
  ];
}
