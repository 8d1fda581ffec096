import { type NetlinkError, isNetlinkError } from '../netlink/error.ts';
import type { Request } from '../netlink/message.ts';
import { getLink, type LinkMessage } from '../netlink/route/link.ts';
import type { AsyncSession } from '../netlink/session.ts';
import { explain } from './explain.ts';
import { type LinkNames, NoSuchLink } from './link-names.ts';
import type { Operation } from './operation.ts';
import { requestsOf } from './requests.ts';

/** An operation that the kernel refused. */
export interface Failure {
  readonly operation: Operation;
  /** One sentence for people: what was tried, what the kernel said, what mends it. */
  readonly why: string;
  /** The kernel is not as we thought: look again, before anything else is tried. */
  readonly surprising: boolean;
}

/**
 * Carries out operations in their order and answers those that failed; a failure keeps none of the others back.
 * Throws a NetlinkError when the socket itself does not work.
 */
export async function apply(
  session: Pick<AsyncSession, 'batch'>,
  names: LinkNames,
  operations: readonly Operation[],
): Promise<Failure[]> {
  const failures: Failure[] = [];
  const requests: Request[] = [];
  /** Which operation a request is of. */
  const owners: Operation[] = [];
  for (const operation of operations) {
    try {
      for (const request of requestsOf(operation, names)) {
        requests.push(request);
        owners.push(operation);
      }
    } catch (error) {
      if (!(error instanceof NoSuchLink)) throw error;
      if (operation.verb !== 'remove') failures.push(failureOf(operation, error));
    }
  }
  const outcomes = await session.batch(requests);
  for (const [i, error] of outcomes.entries()) {
    const operation = owners[i];
    if (error === undefined || operation === undefined) continue;
    if (requests[i] !== undefined && isGone(error, requests[i])) continue;
    failures.push(failureOf(operation, error));
  }
  return failures;
}

/** The link by that name as it is now. */
export async function readLink(
  session: Pick<AsyncSession, 'request'>,
  name: string,
): Promise<LinkMessage | undefined> {
  try {
    const [link] = await session.request(getLink({ IFLA_IFNAME: name }));
    return link;
  } catch (error) {
    if (isNetlinkError(error, 'ENODEV')) return undefined;
    throw error;
  }
}

/** What was to be removed is not there: that will do. */
const isGone = ({ code }: NetlinkError, { name }: Request): boolean =>
  name.startsWith('RTM_DEL') && ['ENOENT', 'ESRCH', 'ENODEV', 'EADDRNOTAVAIL'].includes(code);

function failureOf(operation: Operation, error: NetlinkError | NoSuchLink): Failure {
  const surprising =
    error instanceof NoSuchLink
      ? false
      : ['EEXIST', 'ENODEV', 'ENOENT', 'ESRCH', 'ENETDOWN', 'ENOBUFS'].includes(error.code);
  return { operation, why: explain(operation, error), surprising };
}
