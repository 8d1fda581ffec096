import { CniError } from '../../src/cni/error.ts';
import { IpamError } from '../../src/ipam/error.ts';

/** The CniError that `action` throws, as its document shows it; fails for any other outcome. */
export function refusal(action: () => unknown): { code: number | string; msg: string; details?: string } {
  try {
    action();
  } catch (error) {
    if (error instanceof IpamError) return { code: error.code, msg: error.message };
    if (!(error instanceof CniError)) throw error;
    const { code, message: msg, details } = error;
    return { code, msg, ...(details !== '' && { details }) };
  }
  throw new Error('nothing was thrown');
}
