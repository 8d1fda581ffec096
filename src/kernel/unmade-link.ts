import { type AddressMessage, getAddresses } from '../netlink/route/address.ts';
import { getLink, type LinkMessage } from '../netlink/route/link.ts';
import type { AsyncSession } from '../netlink/session.ts';
import { type Operation, textOf, unmakesLink } from './operation.ts';

/** A text names so many of one sort. */
const named = 5;

/**
 * What goes with each link that is removed or made anew by one of the operations, in a sentence for people: somebody else may have made
 * it under our name. To be asked before they are carried out. Throws a NetlinkError.
 */
export async function unmadeLinks(
  session: Pick<AsyncSession, 'dump'>,
  operations: readonly Operation[],
): Promise<ReadonlyMap<Operation, string>> {
  const unmaking = operations.filter(unmakesLink);
  if (unmaking.length === 0) return new Map();
  const links = await session.dump(getLink());
  const addresses = await session.dump(getAddresses());
  return new Map(unmaking.map((operation) => [operation, sentenceOf(operation, links, addresses)]));
}

function sentenceOf(
  operation: Operation,
  links: readonly LinkMessage[],
  addresses: readonly AddressMessage[],
): string {
  const { verb, object } = operation;
  const was = verb === 'replace' ? operation.was : object;
  const index =
    links.find(({ IFLA_IFNAME }) => 'name' in object && IFLA_IFNAME === object.name)?.ifi_index ?? -1;
  const ports = links
    .filter(({ IFLA_MASTER }) => IFLA_MASTER === index)
    .map((port) => port.IFLA_IFNAME ?? '');
  const own = addresses
    .filter(({ ifa_index }) => ifa_index === index)
    .map((each) => `${each.IFA_LOCAL ?? each.IFA_ADDRESS}/${each.ifa_prefixlen}`);
  const what = `removed ${textOf(was)}, with ${count(ports, 'port', 'ports')} and ${count(own, 'address', 'addresses')}`;
  return verb === 'replace' ? `${what}: in its place is ${textOf(object)}` : what;
}

function count(all: readonly string[], one: string, many: string): string {
  if (all.length === 0) return `no ${many}`;
  const more = all.length > named ? ' ...' : '';
  return `${all.length} ${all.length === 1 ? one : many} (${all.slice(0, named).join(' ')}${more})`;
}
