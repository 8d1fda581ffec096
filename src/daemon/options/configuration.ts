import { type GivenFlag, goBoolean, readCommandLine, UsageError } from './go-flags.ts';
import {
  nearestFlag,
  type Option,
  type OptionName,
  type Options,
  optionOf,
  options,
  unknownFlag,
  variableOf,
} from './options.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where each option that was given comes from, for messages: `--iface`, `FLANNELD_IFACE`, `config.yaml:3: iface`. */
export type Sources = ReadonlyMap<OptionName, string>;

/** A key of a configuration file. */
export interface Setting {
  readonly key: string;
  readonly texts: readonly string[];
  /** File and line. */
  readonly where: string;
}

/** What a start of flanneld is to do. */
export type Command = { readonly does: 'help' } | { readonly does: 'version' } | RunCommand;

export interface RunCommand {
  readonly does: 'run';
  readonly options: Options;
  readonly sources: Sources;
  /** Arguments after the flags: nobody looks at them, and that must be said. */
  readonly ignored: readonly string[];
  /** Keys of the configuration file that are nothing to flanneld: K3s's file has many. */
  readonly foreignKeys: readonly string[];
}

/** One text for an option. */
interface Given {
  readonly option: OptionName;
  /** Flag, variable or key. */
  readonly source: string;
  readonly text: string;
}

/** Which configuration file is asked for; undefined: none. Throws a {@link UsageError}. */
export function configurationFile(args: readonly string[], environment: Environment): string | undefined {
  const { flags, help } = commandLine(args);
  if (help || flags.some(({ name, text }) => name === 'version' && goBoolean(text) === true))
    return undefined;
  const given = flags.filter(({ name }) => name === 'config').at(-1)?.text ?? environment['FLANNELD_CONFIG'];
  return given === '' ? undefined : given;
}

/**
 * The options: from the command line, then from FLANNELD_<FLAG>, then from the configuration file. Unlike in Go flannel, a
 * bad value in the environment is an error, and so are two values on one level that contradict each other. Throws a
 * {@link UsageError} with every finding.
 */
export function readCommand(
  args: readonly string[],
  environment: Environment,
  settings: readonly Setting[] = [],
): Command {
  const line = commandLine(args);
  if (line.help) return { does: 'help' };
  const findings: string[] = [];
  const values = new Map<OptionName, unknown>();
  const sources = new Map<OptionName, string>();
  const read = (level: readonly Given[]) => {
    const open = level.filter(({ option }) => !values.has(option));
    for (const [option, { source, value }] of readLevel(open, findings)) {
      values.set(option, value);
      sources.set(option, source);
    }
  };
  read(line.flags.flatMap(givenFlag));
  if (values.get('version') === true) return { does: 'version' };
  read(fromEnvironment(environment));
  read(settings.flatMap(givenSetting));
  findings.push(...settings.flatMap(misspelt));
  if (findings.length > 0) throw new UsageError(findings.join('\n'));
  const foreignKeys = settings.filter(({ key }) => optionOf(key) === undefined).map(({ key }) => key);
  return { does: 'run', options: complete(values), sources, ignored: line.rest, foreignKeys };
}

const commandLine = (args: readonly string[]) =>
  readCommandLine(
    args,
    (name) => {
      const option = optionOf(name);
      return option && options[option].takes;
    },
    unknownFlag,
  );

const givenFlag = ({ name, text }: GivenFlag): Given[] => {
  const option = optionOf(name);
  return option === undefined ? [] : [{ option, source: `--${name}`, text }];
};

const givenSetting = ({ key, texts, where }: Setting): Given[] => {
  const option = optionOf(key);
  return option === undefined ? [] : texts.map((text) => ({ option, source: `${where}: ${key}`, text }));
};

function fromEnvironment(environment: Environment): Given[] {
  return names.flatMap((option) => {
    const { aliases = [], variables = [] }: Option<unknown> = options[option];
    return [...[option, ...aliases].map(variableOf), ...variables].flatMap((source): Given[] => {
      const text = environment[source] ?? '';
      return text === '' ? [] : [{ option, source, text }];
    });
  });
}

/** K3s passes over what it does not know, and so do we; but what is nearly one of ours is an error. */
function misspelt({ key, where }: Setting): string[] {
  if (optionOf(key) !== undefined) return [];
  const near = nearestFlag(key, 2);
  return near === undefined ? [] : [`${where}: there is no option ${key}; did you mean ${near}?`];
}

interface Found {
  readonly source: string;
  readonly value: unknown;
}

/** Each option at most once. A repeated flag adds up or counts last; two spellings must say the same. */
function readLevel(level: readonly Given[], findings: string[]): Map<OptionName, Found> {
  const bySource = new Map<string, { option: OptionName; value: unknown }>();
  for (const { option, source, text } of level) {
    const definition = options[option] as Option<unknown>;
    const taken = definition.take(text, bySource.get(source)?.value ?? definition.initial);
    if (typeof taken === 'string') findings.push(`${source}: ${JSON.stringify(text)} is ${taken}`);
    else bySource.set(source, { option, value: taken.value });
  }
  const found = new Map<OptionName, Found>();
  for (const [source, { option, value }] of bySource) {
    const other = found.get(option);
    if (other === undefined) found.set(option, { source, value });
    else if (JSON.stringify(other.value) !== JSON.stringify(value)) {
      const said = `${other.source} says ${shown(other.value)}, ${source} says ${shown(value)}`;
      findings.push(`${said}: they mean the same option, leave one of them out`);
    }
  }
  return found;
}

const shown = (value: unknown): string => (Array.isArray(value) ? value.join(',') : String(value));

const names = Object.keys(options) as OptionName[];

function complete(values: ReadonlyMap<OptionName, unknown>): Options {
  const entries = names.map((name) => [name, values.has(name) ? values.get(name) : options[name].initial]);
  return Object.fromEntries(entries) as Options;
}
