import { fstatSync, statSync } from 'node:fs';

/** A namespace as the launcher names its own: `<dev>:<ino>`. */
export function identityOf(fd: number): string {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return `${dev}:${ino}`;
}

/** The network or mount namespace of this process. */
export function ownNamespace(kind: 'net' | 'mnt'): string {
  const { dev, ino } = statSync(`/proc/self/ns/${kind}`, { bigint: true });
  return `${dev}:${ino}`;
}
