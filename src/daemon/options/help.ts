import { type Option, options } from './options.ts';

const width = 96;

const introduction = `flanneld joins this node to a flannel network: it takes a subnet for the node's pods, connects it with the
subnets of all other nodes, keeps it so, and serves the CNI plugin "flannel".

  flanneld --lease-dir=/srv/leases --healthz-port=8471

Flags, with one dash or two. A flag that is not given is taken from the environment, --subnet-file from
FLANNELD_SUBNET_FILE, and then from the file of --config, where it is called subnet-file.
`;

/** What `flanneld --help` prints. */
export function helpText(): string {
  const entries = Object.entries(options).map(([name, option]: [string, Option<unknown>]) => {
    const value = option.placeholder === '' ? '' : `=${option.placeholder}`;
    const lines = wrap(sentence(option), width - 6).map((line) => `      ${line}`);
    return [`  --${name}${value}`, ...lines].join('\n');
  });
  return `${introduction}\n${entries.join('\n')}\n`;
}

function sentence({ help, initial, aliases = [], variables = [] }: Option<unknown>): string {
  const value = shown(initial);
  const byDefault = value === '' ? '' : ` Default: ${value}.`;
  const also = [...aliases.map((alias) => `--${alias}`), ...variables];
  return `${help}${byDefault}${also.length === 0 ? '' : ` Also: ${also.join(', ')}.`}`;
}

/** A default, as people are told it; '' for one that is not worth telling. */
export const shown = (initial: unknown): string =>
  typeof initial === 'string' || typeof initial === 'number' || initial === true ? String(initial) : '';

function wrap(text: string, limit: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= limit)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
