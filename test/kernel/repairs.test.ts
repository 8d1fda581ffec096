import { expect, test } from 'vitest';
import { Repairs } from '../../src/kernel/repairs.ts';

test('150 repairs are made in a row, then one a second, until it was quiet for a while', () => {
  const repairs = new Repairs();
  const made = (now: number) => {
    let count = 0;
    while (repairs.mayRepair(now)) count++;
    return count;
  };
  expect(made(5000)).toBe(150);
  expect(made(5000)).toBe(0);
  expect(made(6000)).toBe(1);
  expect(made(16_000)).toBe(10);
  expect(repairs.isQuiet(165_999)).toBe(false);
  expect(repairs.isQuiet(166_000)).toBe(true);
  expect(made(1_000_000)).toBe(150);
});
