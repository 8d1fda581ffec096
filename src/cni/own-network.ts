import { fstatSync, statSync } from 'node:fs';

/** A network namespace as the launcher names its own: `<dev>:<ino>`. */
export function identityOf(fd: number): string {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return `${dev}:${ino}`;
}

/** That of this process. */
export function ownNetwork(): string {
  const { dev, ino } = statSync('/proc/self/ns/net', { bigint: true });
  return `${dev}:${ino}`;
}
