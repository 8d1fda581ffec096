import type { Machine } from './machine.ts';
import type { Pod } from './pod.ts';

/** Where a shell command can be run. */
type Place = Pod | Pick<Machine, 'shell'>;

const port = 8090;

/** Starts a server in a pod or on a node that tells whoever asks the address that it sees him under. */
export async function tellCallers(where: Place): Promise<void> {
  const script = `mkdir -p /run/caller/cgi-bin
    printf '#!/bin/sh\\necho "Content-Type: text/plain"\\necho\\necho "$REMOTE_ADDR"\\n' > /run/caller/cgi-bin/address
    chmod 755 /run/caller/cgi-bin/address
    busybox httpd -p ${port} -h /run/caller`;
  await ('shell' in where ? where.shell(script) : where.exec(script));
}

/** The address under which `to`, which told callers before, sees `from`. */
export async function seenAs(from: Place, to: string): Promise<string> {
  const host = to.includes(':') ? `[${to}]` : to;
  const script = `busybox wget -qO- http://${host}:${port}/cgi-bin/address`;
  const answer = await ('shell' in from ? from.shell(script) : from.exec(script));
  return answer
    .trim()
    .replaceAll(/[[\]]/g, '')
    .replace(/^::ffff:/, '');
}
