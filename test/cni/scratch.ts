import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';

/** A directory that is gone when the test has ended, however it ended. */
export function scratchDirectory(): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'fl-cni-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
