import { describe, expect, test } from 'vitest';
import {
  goBoolean,
  goInteger,
  readCommandLine,
  type Takes,
  UsageError,
} from '../../src/daemon/options/go-flags.ts';

const takes: Takes = (name) =>
  ({ b: 'boolean', s: 'value', t: 'value' })[name] as 'boolean' | 'value' | undefined;
const read = (...args: string[]) => readCommandLine(args, takes, (name) => new UsageError(`unknown ${name}`));
const flag = (name: string, text: string) => ({ name, text });

describe('the command line, as the package flag of Go reads it', () => {
  test.each([
    [['-s=1'], [flag('s', '1')], []],
    [['--s=1'], [flag('s', '1')], []],
    [['-s', '1'], [flag('s', '1')], []],
    [['--s', '1'], [flag('s', '1')], []],
    [['-s='], [flag('s', '')], []],
    [['-s', ''], [flag('s', '')], []],
    [['-s=a=b'], [flag('s', 'a=b')], []],
    [['-s', '-t'], [flag('s', '-t')], []],
    [['-s', '--'], [flag('s', '--')], []],
    [['-b'], [flag('b', 'true')], []],
    [['-b=false'], [flag('b', 'false')], []],
    [['-b', 'false'], [flag('b', 'true')], ['false']],
    [['-b', 'false', '-s=1'], [flag('b', 'true')], ['false', '-s=1']],
    [['-s=1', '-s=2'], [flag('s', '1'), flag('s', '2')], []],
    [['-s=1', '--', '-t=2'], [flag('s', '1')], ['-t=2']],
    [['-s=1', '-', '-t=2'], [flag('s', '1')], ['-', '-t=2']],
    [['-s=1', '', '-t=2'], [flag('s', '1')], ['', '-t=2']],
    [[], [], []],
  ])('%j', (args, flags, rest) => {
    expect(read(...args)).toEqual({ flags, rest, help: false });
  });

  test.each([['-h'], ['--help'], ['-help'], ['--h'], ['--help=yes']])('%s asks for help', (argument) => {
    expect(read('-s=1', argument, '-nonsense').help).toBe(true);
  });

  test.each([
    [['-s'], '--s needs a value: --s=...'],
    [['-nope=1'], 'unknown nope'],
    [['---s=1'], '---s=1 is no flag: write --name=value'],
    [['-=1'], '-=1 is no flag: write --name=value'],
    [['--=1'], '--=1 is no flag: write --name=value'],
  ])('%j is refused', (args, message) => {
    expect(() => read(...args)).toThrow(new UsageError(message));
  });
});

test.each([
  ['0', 0],
  ['-0', 0],
  ['+7', 7],
  ['-7', -7],
  ['0x1F', 31],
  ['0b101', 5],
  ['0o17', 15],
  ['017', 15],
  ['1_000', 1000],
  ['0_7', 7],
  ['0x_f', 15],
  ['', undefined],
  ['08', undefined],
  ['1_', undefined],
  ['_1', undefined],
  ['1__0', undefined],
  ['1.0', undefined],
  ['1e3', undefined],
  [' 1', undefined],
  ['0x', undefined],
  ['99999999999999999999', undefined],
])('the whole number %j is %j', (text, value) => {
  expect(goInteger(text)).toBe(value);
});

test.each([
  ['1', true],
  ['t', true],
  ['TRUE', true],
  ['False', false],
  ['f', false],
  ['yes', undefined],
  ['tRUE', undefined],
  ['', undefined],
])('the boolean %j is %j', (text, value) => {
  expect(goBoolean(text)).toBe(value);
});
