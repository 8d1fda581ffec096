import type { Snapshot } from './snapshot.ts';

/** A line that the reference and ours do not have in common; undefined where the line is missing. */
export interface Difference {
  readonly line: string;
  readonly reference: string | undefined;
  readonly ours: string | undefined;
}

export function compare(reference: Snapshot, ours: Snapshot): Difference[] {
  const lines = [...new Set([...reference.keys(), ...ours.keys()])].toSorted();
  return lines
    .map((line) => ({ line, reference: reference.get(line), ours: ours.get(line) }))
    .filter((pair) => pair.reference !== pair.ours);
}
