import type { Difference } from './compare.ts';

/** A difference that is meant, with the lines it explains. docs/parity.md is made of this list. */
export interface Meant {
  readonly title: string;
  readonly reason: string;
  /** Lines of a snapshot. */
  readonly lines: RegExp;
  /** Names of cases; all of them by default. */
  readonly cases?: readonly string[];
  /** Set when the old reference (plugins 1.1.1) alone differs: later ones do as we do. */
  readonly onlyOld?: true;
}

export const meant: readonly Meant[] = [];

/** What no entry of the list explains. */
export function unexplained(name: string, old: boolean, differences: readonly Difference[]): Difference[] {
  return differences.filter(({ line }) => !meant.some((entry) => explains(entry, name, old, line)));
}

export function explains(entry: Meant, name: string, old: boolean, line: string): boolean {
  if (entry.onlyOld === true && !old) return false;
  return (entry.cases?.includes(name) ?? true) && entry.lines.test(line);
}
