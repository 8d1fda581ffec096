import { statSync } from 'node:fs';
import path from 'node:path';
import type { RunCommand } from './configuration.ts';
import { ConfigurationError } from './network-config.ts';
import type { OptionName } from './options.ts';

/**
 * Throws a {@link ConfigurationError} where the subnet file or the directory of leases can never be made: both are tried again and again,
 * for most of what is in their way goes by itself.
 */
export function checkPlaces({ options, sources }: Pick<RunCommand, 'options' | 'sources'>): void {
  const look = (option: OptionName, place: string, what: 'file' | 'directory'): string[] => {
    const why = reasonAgainst(path.resolve(place), what);
    return why === undefined ? [] : [`${sources.get(option) ?? `--${option}`} ${place} is ${why}`];
  };
  const leases = options['lease-dir'];
  const findings = [
    ...look('subnet-file', options['subnet-file'], 'file'),
    ...(leases === '' ? [] : look('lease-dir', leases, 'directory')),
  ];
  if (findings.length > 0) throw new ConfigurationError(undefined, findings);
}

function reasonAgainst(place: string, what: 'file' | 'directory'): string | undefined {
  const kind = kindOf(place);
  if (kind !== undefined) return kind === what ? undefined : `there and no ${what}: name another place`;
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
