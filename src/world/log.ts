/** Structured logging as the core sees it: fields first, then the sentence. pino has this shape. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** For programs that must not print, and for tests that do not look. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
