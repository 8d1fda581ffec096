import type { AttachmentRequest } from '../configuration/delegated.ts';
import { CniError, cniCodes } from '../error.ts';
import { FlannelState } from '../records/flannel-state.ts';
import type { RecordedDelegate } from '../configuration/recorded-delegate.ts';
import type { Caller, World } from '../world.ts';

/**
 * ADD for a delegate that is not done inside. Its configuration is written down first, so that whatever happens
 * a DEL finds it. A delegate that fails is told to clean up.
 */
export async function addDelegate(
  world: World,
  caller: Caller,
  { key, dataDir }: AttachmentRequest,
  { type, text }: RecordedDelegate,
): Promise<string> {
  caller.expectDelegate(type);
  const state = new FlannelState(world.files, dataDir);
  state.write(key.containerID, text);
  try {
    return await runDelegate(caller, type, text);
  } catch (error) {
    const undone = await caller.delegate(type, text, 'DEL').catch(() => undefined);
    if (undone?.status === 0) state.remove(key.containerID);
    throw error;
  }
}

/**
 * Runs a delegate that is not done inside, with the verb of this request; answers what it printed. Throws its
 * error as a CniError.
 */
export async function runDelegate(caller: Caller, type: string, configuration: string): Promise<string> {
  const { status, stdout, stderr } = await caller.delegate(type, configuration);
  if (status === 0) return stdout;
  const { code, msg, details } = readError(stdout);
  throw new CniError(
    code ?? cniCodes.internal,
    msg ?? `the delegate "${type}" failed`,
    details ?? (stdout || stderr).trim(),
  );
}

function readError(stdout: string): { code?: number; msg?: string; details?: string } {
  try {
    const error = JSON.parse(stdout) as Record<string, unknown> | null;
    return {
      ...(typeof error?.['code'] === 'number' && { code: error['code'] }),
      ...(typeof error?.['msg'] === 'string' && { msg: error['msg'] }),
      ...(typeof error?.['details'] === 'string' && { details: error['details'] }),
    };
  } catch {
    return {};
  }
}
