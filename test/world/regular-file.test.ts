import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readRegularFile } from '../../src/world/regular-file.ts';

test('of devices only the null device is a file, an empty one', () => {
  expect(readRegularFile('/dev/null')).toBe('');
  expect(() => readRegularFile('/dev/zero')).toThrow('it is no regular file');
});

test('a regular file is read, and nobody waits for a pipe', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'regular-file-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const [file, pipe] = [path.join(directory, 'file'), path.join(directory, 'pipe')];
  writeFileSync(file, 'text');
  execFileSync('mkfifo', [pipe]);
  expect(readRegularFile(file)).toBe('text');
  expect(() => readRegularFile(pipe)).toThrow('it is no regular file');
  expect(() => readRegularFile(`${file}2`)).toThrow('ENOENT');
});
