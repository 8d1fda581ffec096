import { type Entry, type Owner, ownerKey } from './entry.ts';

/**
 * The entries that belong to none of the valid attachments. A file that names a container alone stays as
 * long as the container has any attachment.
 */
export function staleEntries<E extends Entry>(entries: readonly E[], valid: readonly Owner[]): E[] {
  const attachments = new Set(valid.map(ownerKey));
  const containers = new Set(valid.map(({ containerID }) => containerID));
  return entries.filter((entry) =>
    entry.ifname === '' ? !containers.has(entry.containerID) : !attachments.has(ownerKey(entry)),
  );
}
