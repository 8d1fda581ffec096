import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');

interface Row {
  readonly number: string;
  readonly cells: readonly string[];
}

/** A test of the last column: `file` *part of its title*. */
const reference = /`((?:test|e2e)\/[^`]+)` \*([^*]+)\*/g;

/** Rows of the tables on the page, without their heads. */
const rows: readonly Row[] = readFileSync(path.join(root, 'docs/faults.md'), 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [number = '', ...cells] = line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
    return /^R?\d+$/.test(number) ? [{ number, cells }] : [];
  });

describe('docs/faults.md', () => {
  test('has a row for each weak point, in order', () => {
    const read = Array.from({ length: 88 }, (_, i) => `${i + 1}`);
    const seen = Array.from({ length: 14 }, (_, i) => `R${i + 1}`);
    expect(rows.map(({ number }) => number)).toEqual([...read, ...seen]);
  });

  test('says in each row what happens here, and names tests that are there', () => {
    expect(rows.flatMap(faultsOf)).toEqual([]);
  });
});

/** What is wrong with a row. */
function faultsOf({ number, cells }: Row): string[] {
  const [weakPoint = '', here = '', tests = '', ...more] = cells;
  const references = [...tests.matchAll(reference)];
  const isExplained = /does not apply: \w|\*\*open\*\*: \w/.test(here);
  const faults = [
    ...(more.length > 0 ? ['it has too many cells'] : []),
    ...(/\w/.test(weakPoint) && /\w/.test(here) ? [] : ['it says nothing']),
    ...(tests.replace(reference, '').trim() === '' ? [] : ['its last cell is more than tests']),
    ...(references.length > 0 || isExplained ? [] : ['it has neither a test nor a reason']),
    ...references.flatMap(([, file = '', title = '']) =>
      isThere(file, title) ? [] : `no ${file}: ${title}`,
    ),
  ];
  return faults.map((fault) => `${number}: ${fault}`);
}

function isThere(file: string, title: string): boolean {
  const at = path.join(root, file);
  return existsSync(at) && readFileSync(at, 'utf8').includes(title);
}
