/**
 * Bytes that are not what a table says, or a value that its attribute cannot hold. The message starts
 * with the path: `IFLA_LINKINFO/IFLA_INFO_DATA/IFLA_VXLAN_PORT: 2 bytes expected, 1 found`.
 */
export class CodecError extends Error {
  override readonly name = 'CodecError';
  /** The message and attribute names from the outside in. */
  readonly path: readonly string[];
  readonly reason: string;

  constructor(reason: string, path: readonly string[] = []) {
    super(path.length === 0 ? reason : `${path.join('/')}: ${reason}`);
    this.path = path;
    this.reason = reason;
  }

  /** The same error, seen from the table that holds `name`. */
  within(name: string): CodecError {
    return new CodecError(this.reason, [name, ...this.path]);
  }
}

/** Tells a table's own refusal, to be named, from a fault of the program, to be left alone. */
export function within(name: string, error: unknown): unknown {
  return error instanceof CodecError ? error.within(name) : error;
}
