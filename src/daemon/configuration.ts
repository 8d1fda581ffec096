import { type GivenFlag, readCommandLine, UsageError } from './go-flags.ts';
import {
  flagsToCome,
  type Option,
  type OptionName,
  type Options,
  options,
  unknownFlag,
  variableOf,
} from './options.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What a start of flanneld is to do. */
export type Command =
  | { readonly does: 'help' }
  | { readonly does: 'version' }
  | {
      readonly does: 'run';
      readonly options: Options;
      /** Arguments after the flags: nobody looks at them, and that must be said. */
      readonly ignored: readonly string[];
    };

/**
 * The options: from the command line, then from FLANNELD_<FLAG> for those that are not there, as Go
 * flannel does; unlike there, a bad value in the environment is an error. Throws a {@link UsageError}.
 */
export function readCommand(args: readonly string[], environment: Environment): Command {
  const line = readCommandLine(
    args,
    (name) => (isOption(name) ? options[name].takes : undefined),
    unknownFlag,
  );
  if (line.help) return { does: 'help' };
  const values = new Map<OptionName, unknown>();
  for (const flag of line.flags) take(values, flag, `--${flag.name}`);
  if (values.get('version') === true) return { does: 'version' };
  for (const [flag, variable, text] of fromEnvironment(environment)) {
    if (!values.has(flag)) take(values, { name: flag, text }, variable);
  }
  return { does: 'run', options: complete(values), ignored: line.rest };
}

const names = Object.keys(options) as OptionName[];

const isOption = (name: string): name is OptionName => Object.hasOwn(options, name);

/** Each option at most once, the variable that counts. Those of flags to come are refused as the flags are. */
function fromEnvironment(environment: Environment): [OptionName, string, string][] {
  const refused = flagsToCome.find((flag) => (environment[variableOf(flag)] ?? '') !== '');
  if (refused !== undefined) {
    throw new UsageError(
      `${variableOf(refused)} is set: ${unknownFlag(refused).message}. Unset the variable`,
    );
  }
  return names.flatMap((flag): [OptionName, string, string][] => {
    const { fallback }: Option<unknown> = options[flag];
    for (const variable of [variableOf(flag), fallback]) {
      const text = variable === undefined ? '' : (environment[variable] ?? '');
      if (variable !== undefined && text !== '') return [[flag, variable, text]];
    }
    return [];
  });
}

function take(values: Map<OptionName, unknown>, { name, text }: GivenFlag, source: string): void {
  if (!isOption(name)) throw unknownFlag(name);
  const option = options[name] as Option<unknown>;
  const before = values.has(name) ? values.get(name) : option.initial;
  const taken = option.take(text, before);
  if (typeof taken === 'string') {
    throw new UsageError(`${source}: ${JSON.stringify(text)} is ${taken}`);
  }
  values.set(name, taken.value);
}

function complete(values: ReadonlyMap<OptionName, unknown>): Options {
  const entries = names.map((name) => [name, values.has(name) ? values.get(name) : options[name].initial]);
  return Object.fromEntries(entries) as Options;
}
