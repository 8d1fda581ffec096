import { CniError } from '../error.ts';
import type { Caller } from '../world.ts';

/**
 * Runs a delegate that is not done inside, with the verb of this request; answers what it printed. Throws its
 * error as a CniError.
 */
export async function runDelegate(caller: Caller, type: string, configuration: string): Promise<string> {
  const { status, stdout, stderr } = await caller.delegate(type, configuration);
  if (status === 0) return stdout;
  const { code, msg, details } = readError(stdout);
  throw new CniError(code ?? 999, msg ?? `the delegate "${type}" failed`, details ?? (stdout || stderr).trim());
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
