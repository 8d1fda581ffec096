import type { Argv } from 'yargs';
import { nearest } from '../daemon/options/spelling.ts';
import { Refusal } from './refusal.ts';

/** The names of commands; for each those of the commands that it has itself. */
export type Commands = Readonly<Record<string, readonly string[]>>;

/** What was typed, as far as yargs understood it. */
export type Typed = Exclude<Argv['parsed'], false>;

/**
 * One sentence that names the wrong word, and what may have been meant. yargs's own `message` does not always name it: asked
 * for a command it looks no further.
 */
export function misuse(message: string, { argv, aliases, newAliases }: Typed, commands: Commands): Refusal {
  const { path, rest, choices } = follow(argv._.map(String), commands);
  const program = ['cni-tool', ...path].join(' ');
  const unknown = (kind: string, name: string, near: string | undefined) => {
    const hint = near === undefined ? 'see' : `did you mean ${near}? See`;
    return new Refusal(`there is no ${kind} ${name}; ${hint} ${program} --help`);
  };
  const [word] = rest;
  if (word !== undefined && choices.length > 0) return unknown('command', word, closest(word, choices));
  // Of each name with a hyphen yargs makes another one without.
  const known = Object.keys(aliases).filter((name) => newAliases[name] === undefined);
  const option = Object.keys(argv).find(
    (name) =>
      !['_', '--', '$0'].includes(name) &&
      ![name, ...(aliases[name] ?? [])].some((each) => known.includes(each)),
  );
  if (option !== undefined) {
    const near = closest(option, known);
    return unknown('option', dashed(option), near && dashed(near));
  }
  if (word !== undefined) return new Refusal(`${program} has no use for ${word}; see ${program} --help`);
  return new Refusal(`${sentenceOf(message)}; see ${program} --help`);
}

/** The words that name a command, those behind them, and the commands that one of these could have been. */
function follow(words: readonly string[], commands: Commands) {
  const [first = '', second = ''] = words;
  const inner = Object.hasOwn(commands, first) ? commands[first] : undefined;
  if (inner === undefined) return { path: [], rest: words, choices: Object.keys(commands) };
  if (inner.includes(second)) return { path: [first, second], rest: words.slice(2), choices: [] };
  return { path: [first], rest: words.slice(1), choices: inner };
}

const closest = (word: string, among: readonly string[]): string | undefined =>
  nearest(word, among, Math.floor(word.length / 2));

const dashed = (option: string): string => `${option.length === 1 ? '-' : '--'}${option}`;

function sentenceOf(message: string): string {
  const [, incomplete] = /^Not enough arguments following: (.+)/.exec(message) ?? [];
  if (incomplete !== undefined) return `${dashed(incomplete)} needs a value`;
  const [, option, given, choices] = /Argument: (.+), Given: (.+), Choices: (.+)/.exec(message) ?? [];
  if (option !== undefined) return `${dashed(option)} ${given} is none of ${choices}`;
  // Of all commands only exec has words of its own.
  return message.startsWith('Not enough non-option')
    ? 'lab exec needs a node or a pod, such as node-1/pod-1'
    : message;
}
