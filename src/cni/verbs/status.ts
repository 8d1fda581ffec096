import { CniError, cniCodes } from '../error.ts';
import type { Delegated } from '../delegated.ts';
import type { World } from '../world.ts';

/**
 * STATUS: whether an ADD could be served. A full pool is no reason to say no: the node would turn NotReady, and
 * healthy pods would be evicted from it. Throws a CniError 50; runtimes show its message, and not its code.
 */
export function status(world: World, { options }: Delegated): void {
  try {
    world.observeBridge(options.bridge);
  } catch (error) {
    throw unavailable((error as Error).message);
  }
}

export const unavailable = (msg: string, details = ''): CniError =>
  new CniError(cniCodes.notAvailable, msg, details);
