import { execFileSync } from 'node:child_process';
import { command } from '../e2e/lab/command.ts';

/** Network namespaces of this run; all of them go when the process ends. */
const made = new Set<string>();
process.on('exit', () => removeNamespaces([...made]));

/** The path that CNI_NETNS wants. */
export const pathOf = (name: string): string => `/run/netns/${name}`;

let calls = 0;

/** Makes namespaces whose names begin with `fl-bench-<pid>-<n>-`; many of them in one process. Answers their names. */
export async function createNamespaces(names: readonly string[]): Promise<string[]> {
  const prefix = `fl-bench-${process.pid}-${++calls}-`;
  const full = names.map((name) => `${prefix}${name}`);
  for (const name of full) made.add(name);
  await ip(full.map((name) => `netns add ${name}`));
  return full;
}

export function removeNamespaces(names: readonly string[]): void {
  if (names.length === 0) return;
  for (const name of names) made.delete(name);
  const input = names.map((name) => `netns delete ${name}\n`).join('');
  execFileSync('ip', ['-force', '-batch', '-'], { input, stdio: ['pipe', 'ignore', 'ignore'] });
}

/** Lines of iproute2 in one process, inside a namespace when one is given. */
export async function ip(lines: readonly string[], netns?: string): Promise<void> {
  const inside = netns === undefined ? [] : ['-n', netns];
  await command('ip', [...inside, '-batch', '-'], `${lines.join('\n')}\n`);
}

/** eth0 with 192.168.50.1/24 and fd00:50::1/64, up: what flanneld sends its packets through. */
export const uplink: readonly string[] = [
  'link set lo up',
  'link add eth0 type veth peer name cable0',
  'link set cable0 up',
  'link set eth0 up',
  'address add 192.168.50.1/24 dev eth0',
  'address add fd00:50::1/64 dev eth0 nodad',
  'route add default via 192.168.50.254',
];
