/** How the kernel stands to what is desired. */
export interface Report {
  /** Desired objects. */
  readonly wanted: number;
  /** Those of them that are in place. */
  readonly objects: number;
  /** What cannot be put in place, with the reason in one sentence for people. It is tried again. */
  readonly failed: readonly Failed[];
  /** What stands in the place of desired objects, is not ours, and was left alone. */
  readonly foreign: readonly string[];
  /** How often something was put back that had been in place. */
  readonly repairs: number;
  /** Wall clock, in milliseconds, of the last comparison with everything that the kernel has. */
  readonly lastAudit: number | undefined;
}

export interface Failed {
  /** What was tried: `add route 10.244.2.0/24 ...`. */
  readonly what: string;
  readonly why: string;
}
