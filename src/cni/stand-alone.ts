import fs from 'node:fs';
import { uptime } from 'node:os';
import type { Binding } from '../../native/binding.ts';
import { chooseBackend } from '../firewall/masquerade.ts';
import { runProcess } from '../firewall/process.ts';
import { isNetlinkError } from '../netlink/error.ts';
import { delLink } from '../netlink/route/link.ts';
import { SyncSession } from '../netlink/session.ts';
import { openSocket } from '../netlink/socket.ts';
import { systemClock } from '../world/clock.ts';
import { silentLog } from '../world/log.ts';
import { systemRandom } from '../world/random.ts';
import { machineFiles } from './records/files.ts';
import { Forwarding } from './attachment/forwarding.ts';
import type { LauncherRequest, Reply } from './launcher/frame.ts';
import { observeBridge } from './attachment/link.ts';
import { LoneCaller } from './lone-caller.ts';
import { ownNamespace } from './own-namespace.ts';
import { serve } from './serve.ts';
import { Stores } from './records/stores.ts';
import type { World } from './world.ts';

/** One request in a process of its own, for when no daemon can do it. `environment` is the whole one. */
export async function serveAlone(
  binding: Binding,
  environment: Readonly<NodeJS.ProcessEnv>,
  stdin: Buffer,
): Promise<Reply> {
  const stores = new Stores({
    files: fs,
    flock: (fd, operation) => binding.flock(fd, operation),
    clock: systemClock,
  });
  const host = new SyncSession(openSocket(binding));
  const forwarding = new Forwarding();
  const world = loneWorld(host, stores, forwarding);
  const caller = new LoneCaller(binding, environment, world);
  try {
    const request: LauncherRequest = { environment: environment as Record<string, string>, stdin };
    return await serve(world, request, caller);
  } finally {
    caller.close();
    host.close();
    forwarding.close();
    stores.close();
  }
}

function loneWorld(host: SyncSession, stores: Stores, forwarding: Forwarding): World {
  const run = runProcess();
  return {
    host,
    hostNetns: ownNamespace('net'),
    observeBridge: (name) => observeBridge(host, name),
    forwarding: () => forwarding.now(),
    beingMade: new Set(),
    removeLink: async (ifindex) => removeLink(host, ifindex),
    store: (directory) => stores.open(directory),
    existingStore: (directory) => stores.openExisting(directory),
    files: machineFiles,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    run,
    bootTime: systemClock.now() - uptime() * 1000,
    adoptedBridges: new Set(),
    masqueradeBackend: () => chooseBackend(run),
    expectMasquerade: async () => {},
  };
}

/** Waits for RCU in the kernel, as the end of this process would if a thread of it did. */
function removeLink(host: SyncSession, ifi_index: number): void {
  try {
    host.request(delLink({ ifi_index }));
  } catch (error) {
    if (!isNetlinkError(error, 'ENODEV')) throw error;
  }
}
