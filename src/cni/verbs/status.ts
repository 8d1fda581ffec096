import path from 'node:path';
import type { AttachmentRequest, Delegated } from '../configuration/delegated.ts';
import { CniError, cniCodes } from '../error.ts';
import { Records } from '../records/record.ts';
import type { World } from '../world.ts';

/**
 * STATUS: whether an ADD could be served. A full pool is no reason to say no: the node would turn NotReady, and
 * healthy pods would be evicted from it. Throws a CniError 50; runtimes show its message, and not its code.
 */
export function status(
  world: World,
  { key, dataDir }: AttachmentRequest,
  { options, ipam }: Delegated,
): void {
  const { files } = world;
  try {
    world.observeBridge(options.bridge);
    files.expectWritable(dataDir);
    files.expectWritable(path.join(new Records(files, dataDir).directory, key.network));
    files.expectWritable(path.join(ipam.dataDir, key.network));
  } catch (error) {
    throw unavailable((error as Error).message);
  }
}

export const unavailable = (msg: string, details = ''): CniError =>
  new CniError(cniCodes.notAvailable, msg, details);
