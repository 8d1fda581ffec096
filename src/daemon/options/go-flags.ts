/** A flag as it was given: its name without dashes, and its value's text. */
export interface GivenFlag {
  readonly name: string;
  readonly text: string;
}

export interface CommandLine {
  /** In their order, repetitions included. */
  readonly flags: readonly GivenFlag[];
  /** What comes after the flags: from the first argument that is none, or after `--`. */
  readonly rest: readonly string[];
  /** `-h` or `-help` was met; nothing after it was looked at. */
  readonly help: boolean;
}

/** Whether a flag stands alone (its value, if any, only after `=`), takes a value, or is not known. */
export type Takes = (name: string) => 'boolean' | 'value' | undefined;

/** The command line or an environment variable is wrong: the message says which, and what to do. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * Reads a command line by the rules of Go's package `flag`: one dash or two, `-x=v` and `-x v`, booleans
 * only with `=`, `--` and the first argument that is no flag end the flags. Throws a {@link UsageError};
 * for a flag that is not known the error of `unknown`.
 */
export function readCommandLine(
  args: readonly string[],
  takes: Takes,
  unknown: (name: string) => UsageError,
): CommandLine {
  const flags: GivenFlag[] = [];
  for (let i = 0; i < args.length; i++) {
    const argument = args[i] ?? '';
    if (argument.length < 2 || !argument.startsWith('-')) return { flags, rest: args.slice(i), help: false };
    if (argument === '--') return { flags, rest: args.slice(i + 1), help: false };
    const { name, text } = split(argument);
    const kind = takes(name);
    if (kind === undefined && (name === 'h' || name === 'help')) return { flags, rest: [], help: true };
    if (kind === undefined) throw unknown(name);
    if (text !== undefined) flags.push({ name, text });
    else if (kind === 'boolean') flags.push({ name, text: 'true' });
    else {
      const next = args[++i];
      if (next === undefined) throw new UsageError(`--${name} needs a value: --${name}=...`);
      flags.push({ name, text: next });
    }
  }
  return { flags, rest: [], help: false };
}

function split(argument: string): { name: string; text: string | undefined } {
  const body = argument.replace(/^--?/, '');
  // The first character belongs to the name, whatever it is.
  const equals = body.indexOf('=', 1);
  const name = equals === -1 ? body : body.slice(0, equals);
  if (/^[-=]/.test(name)) throw new UsageError(`${argument} is no flag: write --name=value`);
  return { name, text: equals === -1 ? undefined : body.slice(equals + 1) };
}

/** The spellings that Go's strconv.ParseBool knows; undefined for others. */
export function goBoolean(text: string): boolean | undefined {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false;
  return undefined;
}

const integerForms: readonly [RegExp, number][] = [
  [/^0[xX](_?[0-9a-fA-F])+$/, 16],
  [/^0[bB](_?[01])+$/, 2],
  [/^0[oO](_?[0-7])+$/, 8],
  [/^0(_?[0-7])+$/, 8],
  [/^(0|[1-9](_?[0-9])*)$/, 10],
];

/** A whole number as Go's strconv.ParseInt with base 0 reads it: 0x1f, 0b1, 0o17, 017, 1_000. Undefined for others. */
export function goInteger(text: string): number | undefined {
  const digits = text.replace(/^[+-]/, '');
  const base = integerForms.find(([form]) => form.test(digits))?.[1];
  if (base === undefined) return undefined;
  const value = Number.parseInt(digits.replaceAll('_', '').replace(/^0[xXbBoO]/, ''), base);
  if (!Number.isSafeInteger(value)) return undefined;
  return text.startsWith('-') && value !== 0 ? -value : value;
}
