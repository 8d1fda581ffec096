import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { styleText } from 'node:util';
import { repository } from '../e2e/lab/binary.ts';

const directory = path.join(repository, '.cache/bench');
let missed = 0;

/** How many targets were missed so far. */
export const missedTargets = (): number => missed;

export function heading(text: string): void {
  console.log(`\n${styleText('bold', text, { stream: process.stdout })}`);
}

/** A cell of a table that says whether a target was reached. */
export function verdict(ok: boolean): string {
  if (!ok) missed += 1;
  return ok ? 'ok' : 'MISSED';
}

/** Columns as wide as needed; numbers are text already, and aligned to the right from the second column on. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], left = 1): void {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  for (const [line, row] of all.entries()) {
    const cells = row.map((cell, i) =>
      i < left ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0),
    );
    const text = cells.join('  ').trimEnd();
    const format = line === 0 ? 'dim' : row.includes('MISSED') ? 'red' : undefined;
    console.log(format === undefined ? text : styleText(format, text, { stream: process.stdout }));
  }
}

/** Keeps the figures for a program to read; answers the file's name. */
export function keep(name: string, figures: unknown): string {
  mkdirSync(directory, { recursive: true });
  const file = path.join(directory, `${name}.json`);
  writeFileSync(file, `${JSON.stringify(figures, undefined, 2)}\n`);
  return path.relative(repository, file);
}

export const ms = (value: number): string => value.toFixed(value < 10 ? 2 : 1);
export const times = (value: number): string => `${value.toFixed(1)}x`;
