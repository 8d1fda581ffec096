import path from 'node:path';
import { onTestFinished } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import type { Reply } from '../../src/cni/launcher/frame.ts';
import { ownNamespace } from '../../src/cni/own-namespace.ts';
import { CniServer, type Serve, type ServerOptions } from '../../src/cni/launcher/server.ts';
import { systemClock } from '../../src/world/clock.ts';
import { silentLog } from '../../src/world/log.ts';
import { LauncherClient } from './launcher-client.ts';
import { scratchDirectory } from './scratch.ts';

export const binding = loadBinding();
export const reply = (stdout: string): Reply => ({ status: 0, stdout, stderr: '' });

/** What a launcher may be asked to do. */
export const sysctl = { where: 'pod', path: 'net/x', value: '1', required: true } as const;
export const tasks = [{ task: 'sysctl', sysctl }] as const;

/** A server that serves in this way, and launchers of it; closed when the test has ended. */
export function serving(serve: Serve, options: Partial<ServerOptions> = {}) {
  const socket = path.join(scratchDirectory(), 'sock');
  const server = new CniServer({
    binding,
    clock: systemClock,
    log: silentLog,
    path: socket,
    ownNetns: ownNamespace('net'),
    ownMounts: ownNamespace('mnt'),
    serve,
    ...options,
  });
  server.listen();
  onTestFinished(() => server.close());
  return {
    server,
    socket,
    connect() {
      const client = new LauncherClient(binding, socket);
      onTestFinished(() => client.close());
      return client;
    },
  };
}

/** Of an ADD. */
export const environment = (changes: Record<string, string> = {}) => ({
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  FLANNEL_NETNS: 'absent',
  FLANNEL_OWN_NETNS: ownNamespace('net'),
  FLANNEL_OWN_MNTNS: ownNamespace('mnt'),
  ...changes,
});
