import { expect, test } from 'vitest';
import { type Axis, axes, combinations } from '../../e2e/matrix/combination.ts';

const names = Object.keys(axes) as Axis[];
const pairs = names.flatMap((first, i) => names.slice(i + 1).map((second) => [first, second] as const));

test.each(pairs)('every %s meets every %s', (first, second) => {
  const wanted = axes[first].flatMap((a) => axes[second].map((b) => `${a} with ${b}`));
  const met = new Set(combinations.map((combination) => `${combination[first]} with ${combination[second]}`));
  expect(wanted.filter((pair) => !met.has(pair))).toEqual([]);
});
