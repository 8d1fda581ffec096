import { describe, expect, test } from 'vitest';
import { readCommand, type Setting } from '../../src/daemon/options/configuration.ts';
import { UsageError } from '../../src/daemon/options/go-flags.ts';
import { type Option, type OptionName, options, variableOf } from '../../src/daemon/options/options.ts';

/** Texts of every kind: each option takes at least three of them that mean different things, a boolean two. */
const candidates = [
  'false',
  'true',
  '1',
  '2',
  '3',
  '192.0.2.1',
  '192.0.2.2',
  '192.0.2.3',
  '2001:db8::1',
  '2001:db8::2',
  '2001:db8::3',
  '10.42.0.0/16',
  '10.43.0.0/16',
  '10.44.0.0/16',
  'a=1',
  'b=2',
  'c=3',
  'x.go:1',
  'x.go:2',
  'x.go:3',
  'one',
  'two',
  'three',
];

interface Sample {
  readonly text: string;
  readonly value: unknown;
}

function samplesOf({ initial, take }: Option<unknown>): Sample[] {
  const samples = candidates.flatMap((text): Sample[] => {
    const taken = take(text, initial);
    return typeof taken === 'string' ? [] : [{ text, value: taken.value }];
  });
  const values = samples.map(({ value }) => JSON.stringify(value));
  return samples.filter(({ value }, i) => values.indexOf(JSON.stringify(value)) === i);
}

const setting = (key: string, text: string, line: number): Setting => ({
  key,
  texts: [text],
  where: `c.yaml:${line}`,
});

// Of --version it matters only whether it is there.
const names = (Object.keys(options) as OptionName[]).filter((name) => name !== 'version');

describe.each(names)('--%s', (name) => {
  const option = options[name] as Option<unknown>;
  const { aliases = [], variables = [] } = option;
  const samples = samplesOf(option);
  const [one, two] = samples;
  if (one === undefined || two === undefined) throw new Error(`no samples for --${name}`);
  const three = samples[2] ?? one;

  const read = (args: string[], environment: Record<string, string>, settings: Setting[]) => {
    const command = readCommand(args, environment, settings);
    if (command.does !== 'run') throw new Error(command.does);
    return [command.options[name], command.sources.get(name)];
  };

  test.each([name, ...aliases])(
    'as --%s goes before the environment, and that before the file',
    (spelling) => {
      const variable = variableOf(spelling);
      const flag = [`--${spelling}=${one.text}`];
      const environment = { [variable]: two.text };
      const file = [setting(spelling, three.text, 7)];
      expect(read(flag, environment, file)).toEqual([one.value, `--${spelling}`]);
      expect(read([], environment, file)).toEqual([two.value, variable]);
      expect(read([], {}, file)).toEqual([three.value, `c.yaml:7: ${spelling}`]);
      expect(read([], {}, [])).toEqual([option.initial, undefined]);
    },
  );

  test.each(variables)('also comes from %s', (variable) => {
    expect(read([], { [variable]: one.text }, [])).toEqual([one.value, variable]);
  });

  test.each([...aliases.map(variableOf), ...variables])('is the same as %s, or an error', (variable) => {
    const own = variableOf(name);
    expect(read([], { [own]: one.text, [variable]: one.text }, [])[0]).toEqual(one.value);
    expect(() => read([], { [own]: one.text, [variable]: two.text }, [])).toThrow(UsageError);
  });

  test.each(aliases)('is the same as --%s on the command line, or an error', (alias) => {
    expect(read([`--${name}=${one.text}`, `--${alias}=${one.text}`], {}, [])[0]).toEqual(one.value);
    expect(() => read([`--${name}=${one.text}`, `--${alias}=${two.text}`], {}, [])).toThrow(
      /they mean the same option, leave one of them out/,
    );
  });
});
