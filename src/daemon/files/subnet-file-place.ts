import { statSync } from 'node:fs';
import path from 'node:path';
import type { RunCommand } from '../options/configuration.ts';
import { ConfigurationError } from '../network/network-config.ts';

/**
 * Throws a {@link ConfigurationError} where the subnet file can never be made: it is tried again and again, for most of what is in its way
 * goes by itself. Not so the directory of leases: a node that cannot use it starts from what it knew last.
 */
export function checkSubnetFilePlace({ options, sources }: Pick<RunCommand, 'options' | 'sources'>): void {
  const place = options['subnet-file'];
  const why = reasonAgainst(path.resolve(place));
  if (why === undefined) return;
  throw new ConfigurationError(undefined, [
    `${sources.get('subnet-file') ?? '--subnet-file'} ${place} is ${why}`,
  ]);
}

function reasonAgainst(place: string): string | undefined {
  const kind = kindOf(place);
  if (kind !== undefined) return kind === 'file' ? undefined : 'there and no file: name another place';
  let above = path.dirname(place);
  while (kindOf(above) === undefined && above !== '/') above = path.dirname(above);
  return kindOf(above) === 'directory' ? undefined : `below ${above}, which is no directory`;
}

/** Undefined when it is not there, or when that cannot be seen: the attempt will tell. */
function kindOf(place: string): 'file' | 'directory' | 'other' | undefined {
  try {
    const stat = statSync(place, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    if (stat.isDirectory()) return 'directory';
    return stat.isFile() ? 'file' : 'other';
  } catch {
    return undefined;
  }
}
