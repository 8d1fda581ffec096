import { type Prefix, prefixFamily } from '../net/prefix.ts';
import type { LeaseFile } from './lease-files.ts';
import { RegistryError } from './registry.ts';

/** So long, in milliseconds, a document that says nothing may be that of a node which is about to write it again. */
const patience = 5 * 60_000;

/**
 * Throws a {@link RegistryError} while one of the documents, by name, cannot be read and names no subnet in the family of `network`:
 * any free one may be its node's. A node that runs writes it again within a minute; what stays longer, by the file system's clock, is
 * nobody's, and must not keep new nodes out for ever.
 */
export function refuseInDoubt(
  network: Prefix,
  documents: ReadonlyMap<string, LeaseFile>,
  now: number,
  registry: string,
): void {
  for (const [name, { entry, named, since }] of documents) {
    if (!('unreadable' in entry) || since === undefined || Math.abs(now - since) > patience) continue;
    if (named.some((subnet) => prefixFamily(subnet) === prefixFamily(network))) continue;
    throw new RegistryError(
      `any free subnet of ${network} may be that of ${name} in ${registry}, which says nothing: ${entry.unreadable}; ` +
        'its node writes it again if it runs. Mend it, or remove it if that node is gone; ' +
        `after ${patience / 60_000} minutes it does not count`,
      { withoutSubnet: true },
    );
  }
}
