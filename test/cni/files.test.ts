import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { machineFiles } from '../../src/cni/records/files.ts';
import { scratchDirectory } from './scratch.ts';

test('a file that a request names is read, and read anew', () => {
  const file = path.join(scratchDirectory(), 'subnet.env');
  expect(machineFiles.readGiven(file)).toBeUndefined();
  for (const text of ['one', 'two']) {
    writeFileSync(file, text);
    expect(machineFiles.readGiven(file)).toBe(text);
  }
});

test('of anything else it is said what it is not: a pipe would hold the daemon, and a device fill its memory', () => {
  const pipe = path.join(scratchDirectory(), 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const file of [pipe, '/dev/zero', path.dirname(pipe)]) {
    expect(() => machineFiles.readGiven(file)).toThrow(`cannot read ${file}: it is no regular file`);
  }
});
