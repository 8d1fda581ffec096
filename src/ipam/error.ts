/**
 * Why an address could not be handed out, given back or looked up.
 * - `CONFIGURATION`: the ranges, the requested addresses or resolvConf cannot be used as they are written.
 * - `REQUESTED`: a requested address is not to be had.
 * - `DUPLICATE`: the attachment holds an address of this range set already.
 * - `EXHAUSTED`: every address of a range set is in use.
 * - `LOCKED`: another process held the lock for too long; the same request may succeed later.
 * - `STORE`: the directory cannot be read or written.
 */
export type IpamErrorCode = 'CONFIGURATION' | 'REQUESTED' | 'DUPLICATE' | 'EXHAUSTED' | 'LOCKED' | 'STORE';

/** What host-local reports has host-local's words, so that whoever searches for them finds the same advice. */
export class IpamError extends Error {
  override readonly name = 'IpamError';
  readonly code: IpamErrorCode;

  constructor(code: IpamErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

const advice: Readonly<Record<string, string>> = {
  ENOSPC: 'free some space or inodes there',
  EDQUOT: 'raise the quota or free some space',
  EROFS: 'mount it writable or set dataDir to a directory that is',
  EACCES: 'give the process that hands out addresses access to it',
  EPERM: 'give the process that hands out addresses access to it',
  ENOTDIR: 'move away the file that stands where a directory belongs',
  EMFILE: 'raise the limit of open files',
};

/** A failed system call as a sentence: `tried` says what was to be done with which path. */
export function storeError(tried: string, cause: unknown): IpamError {
  const hint = advice[errnoOf(cause) ?? ''];
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new IpamError('STORE', `${tried}: ${reason}${hint === undefined ? '' : `; ${hint}`}`, { cause });
}

/** The symbolic errno of what a file operation threw. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
