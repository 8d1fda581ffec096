import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { ConfigurationError } from '../../src/daemon/network-config.ts';
import { checkPlaces } from '../../src/daemon/places.ts';
import { given } from './options-given.ts';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'places-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  file = path.join(directory, 'file');
  writeFileSync(file, '');
});

const refusal = (...args: string[]): unknown => {
  try {
    return checkPlaces(given(...args));
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return error.message;
  }
};

describe('what can never be written is refused before it is tried for ever:', () => {
  test('a subnet file that is a directory, or what no file may take the place of', () => {
    const pipe = path.join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    for (const place of [directory, pipe, '/dev/null']) {
      expect(refusal(`--subnet-file=${place}`)).toBe(
        `--subnet-file ${place} is there and no file: name another place`,
      );
    }
  });

  test('a directory of leases that is a file', () => {
    expect(refusal(`--lease-dir=${file}`)).toBe(
      `--lease-dir ${file} is there and no directory: name another place`,
    );
  });

  test.each(['--subnet-file', '--lease-dir'])('%s below a file, and all findings at once', (flag) => {
    const place = path.join(file, 'x/y');
    expect(refusal(`${flag}=${place}`)).toBe(`${flag} ${place} is below ${file}, which is no directory`);
    expect(refusal(`--subnet-file=${place}`, `--lease-dir=${place}`)).toMatch(
      /^--subnet-file .*\n--lease-dir /,
    );
  });
});

test('what is there and right, or not there yet, is none of it', () => {
  const [link, later] = [path.join(directory, 'link'), path.join(directory, 'a/b/c')];
  symlinkSync(file, link);
  for (const place of [file, link, later, 'subnet.env'])
    expect(refusal(`--subnet-file=${place}`)).toBeUndefined();
  for (const place of [directory, later, '/']) expect(refusal(`--lease-dir=${place}`)).toBeUndefined();
  expect(refusal()).toBeUndefined();
});
