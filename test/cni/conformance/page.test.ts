import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

/** Letters and how many cases each has: 122 in all. */
const groups = {
  P: { count: 24, title: 'Protocol' },
  V: { count: 12, title: 'Versions' },
  A: { count: 34, title: 'ADD' },
  I: { count: 20, title: 'IPAM' },
  D: { count: 14, title: 'DEL' },
  K: { count: 8, title: 'CHECK' },
  G: { count: 10, title: 'GC and STATUS' },
} as const;

const notes: Readonly<Record<string, string>> = {
  A27: 'Here: the refusal of a kernel without bridge VLAN filtering. On one that has it: `test/vm/vlan.vm.test.ts`.',
  G09: 'Changed on purpose: a full pool fails ADD and never STATUS, for a node that turns NotReady evicts healthy pods.',
  I20: 'What it costs is counted in `test/ipam/store.test.ts`.',
  V12: 'A prevResult that cannot be read is code 6, 7 or 999.',
};

const numbers = Object.entries(groups).flatMap(([letter, { count }]) =>
  Array.from({ length: count }, (_, i) => `${letter}${String(i + 1).padStart(2, '0')}`),
);

test('there are 122 cases, and a test for each', () => {
  expect(numbers).toHaveLength(122);
  expect(numbers.filter((number) => !titles().has(number))).toEqual([]);
});

test('docs/conformance.md lists them; written anew by "npm test -- check conformance -u"', async () => {
  const file = path.resolve(import.meta.dirname, '../../../docs/conformance.md');
  await expect(page()).toMatchFileSnapshot(file);
});

/** Number -> what its test says, and in which file. */
function titles(): Map<string, { title: string; file: string }> {
  const found = new Map<string, { title: string; file: string }>();
  for (const file of readdirSync(import.meta.dirname).filter((name) => name.endsWith('.process.test.ts'))) {
    const text = readFileSync(path.join(import.meta.dirname, file), 'utf8');
    for (const [, number = '', title = ''] of text.matchAll(/'([PVAIDKG]\d\d) ([^'\n]*)'/g)) {
      if (!found.has(number)) found.set(number, { title, file });
    }
    // Those of a table, one for each version.
    for (const [, version = '', number = ''] of text.matchAll(/'([\d.]+)': '(V\d\d)'/g)) {
      found.set(number, { title: `the result in ${version}`, file });
    }
  }
  return found;
}

function page(): string {
  const all = titles();
  const sections = Object.entries(groups).map(([letter, { title, count }]) => {
    const rows = numbers
      .filter((number) => number.startsWith(letter))
      .map((number) => {
        const entry = all.get(number);
        const said = (entry?.title ?? '').replace(/%[jsd]/g, '…').replaceAll('|', '\\|');
        const note = notes[number] === undefined ? '' : ` ${notes[number]}`;
        return `| ${number} | ${said}.${note} | \`${entry?.file}\` |`;
      });
    return [`## ${title} (${count})`, '', '| number | case | test |', '|---|---|---|', ...rows].join('\n');
  });
  return `${introduction}\n${sections.join('\n\n')}\n`;
}

const introduction = `# Conformance

What a CNI plugin of type \`flannel\` has to do, as 122 numbered cases. Each runs through both ways in: *warm*, where the
launcher hands the call to a running \`flanneld\`, and *stand-alone*, where no daemon listens. The tests are in
\`test/cni/conformance/\`, each with its number in its title:

    npm test -- process conformance
    npm test -- process conformance -t A24
`;
