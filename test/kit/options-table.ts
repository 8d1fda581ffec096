import { shown } from '../../src/daemon/options/help.ts';
import { type Option, options, variableOf } from '../../src/daemon/options/options.ts';

/** The table of the reference page, docs/flanneld.md. */
export function optionsTable(): string {
  const rows = Object.entries(options).map(([name, option]: [string, Option<unknown>]) => {
    const initial = shown(option.initial);
    const variables = [...spellingsOf(name, option).map(variableOf), ...(option.variables ?? [])];
    const cells = [
      spellingsOf(name, option)
        .map((flag) => `\`--${flag}\``)
        .join(', '),
      option.placeholder === '' ? '' : `\`${option.placeholder.replace('|', '\\|')}\``,
      initial === '' ? '' : `\`${initial}\``,
      variables.map((variable) => `\`${variable}\``).join(', '),
      option.help,
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return ['| flag | value | default | environment | meaning |', '|---|---|---|---|---|', ...rows].join('\n');
}

const spellingsOf = (name: string, { aliases = [] }: Option<unknown>): string[] => [name, ...aliases];
