import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { ConfigurationError } from '../../src/daemon/network/network-config.ts';
import { checkSubnetFilePlace } from '../../src/daemon/files/subnet-file-place.ts';
import { given } from './options-given.ts';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'subnet-file-place-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  file = path.join(directory, 'file');
  writeFileSync(file, '');
});

const refusal = (...args: string[]): unknown => {
  try {
    return checkSubnetFilePlace(given(...args));
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return error.message;
  }
};

test('a place that is a directory, or what no file may take the place of, is refused before it is tried for ever', () => {
  const pipe = path.join(directory, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const place of [directory, pipe, '/dev/null']) {
    expect(refusal(`--subnet-file=${place}`)).toBe(
      `--subnet-file ${place} is there and no file: name another place`,
    );
  }
});

test('and so is one below a file', () => {
  const place = path.join(file, 'x/y');
  expect(refusal(`--subnet-file=${place}`)).toBe(
    `--subnet-file ${place} is below ${file}, which is no directory`,
  );
});

test('what is there and right, or not there yet, is not', () => {
  const [link, later] = [path.join(directory, 'link'), path.join(directory, 'a/b/c')];
  symlinkSync(file, link);
  for (const place of [file, link, later, 'subnet.env']) {
    expect(refusal(`--subnet-file=${place}`)).toBeUndefined();
  }
  expect(refusal()).toBeUndefined();
});
