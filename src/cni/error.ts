/** The error codes that this plugin gives: the specification's, and 999 for what has none (libcni's "internal"). */
export const cniCodes = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  badEnvironment: 4,
  ioFailure: 5,
  decodeFailure: 6,
  badConfiguration: 7,
  badNetns: 8,
  tryAgainLater: 11,
  notAvailable: 50,
  /** CHECK found something missing or changed. 100 and above are this plugin's own; 100 is the launcher's. */
  brokenAttachment: 101,
  internal: 999,
} as const;

/** A verb's failure as the container runtime gets to see it. */
export class CniError extends Error {
  override readonly name = 'CniError';
  readonly code: number;
  readonly details: string;

  constructor(code: number, msg: string, details = '') {
    super(msg);
    this.code = code;
    this.details = details;
  }
}

/** Anything that was thrown, as a CniError: 999 for what says no code itself. */
export function asCniError(error: unknown): CniError {
  if (error instanceof CniError) return error;
  return new CniError(cniCodes.internal, error instanceof Error ? error.message : String(error));
}

/** The error document of the specification, section "Error". Printed like the reference prints it. */
export function errorDocument(error: CniError, cniVersion: string): string {
  const { code, message: msg, details } = error;
  return JSON.stringify({ cniVersion, code, msg, ...(details !== '' && { details }) }, undefined, 4);
}
