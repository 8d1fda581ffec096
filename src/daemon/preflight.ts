import { BackendError } from '../backend/error.ts';
import type { Log } from '../world/log.ts';
import { InterfaceError } from './host/interface.ts';
import { ConfigurationError } from './network/network-config.ts';
import type { ValidationInput } from './validation/finding.ts';
import { validate } from './validation/validate.ts';

export interface PreflightInput extends ValidationInput {
  readonly log: Log;
  /** What must be possible; throws a BackendError, an InterfaceError or a ConfigurationError. */
  readonly needs: readonly (() => unknown)[];
}

/** Tells what the operator should know, and throws a {@link ConfigurationError} with all that is in the way of a start. */
export function preflight(input: PreflightInput): void {
  const { log, network, needs } = input;
  for (const text of network.warnings) log.warn({}, text);
  const errors = needs.flatMap(reasonAgainst);
  for (const { severity, text } of validate(input)) {
    if (severity === 'error') errors.push(text);
    else if (severity === 'warning') log.warn({}, text);
    else log.info({}, text);
  }
  if (errors.length > 0) throw new ConfigurationError(undefined, errors);
}

function reasonAgainst(need: () => unknown): string[] {
  try {
    need();
    return [];
  } catch (error) {
    const isKnown = [BackendError, InterfaceError, ConfigurationError].some((kind) => error instanceof kind);
    if (isKnown) return [(error as Error).message];
    throw error;
  }
}
