import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A directory in memory, which the disk's moods do not reach; it is gone when the process ends. */
export function memoryDirectory(): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'fl-bench-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=700,size=1g', 'fl-bench', directory]);
  process.once('exit', () => {
    execFileSync('umount', ['--lazy', directory]);
    rmdirSync(directory);
  });
  return directory;
}
