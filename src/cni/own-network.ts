import { statSync } from 'node:fs';

/** The network namespace of this process, as the launcher names its own: `<dev>:<ino>`. */
export function ownNetwork(): string {
  const { dev, ino } = statSync('/proc/self/ns/net', { bigint: true });
  return `${dev}:${ino}`;
}
