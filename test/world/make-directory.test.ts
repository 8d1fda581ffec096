import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { makeDirectory } from '../../src/world/make-directory.ts';

function scratch(): string {
  const directory = fs.mkdtempSync(path.join(tmpdir(), 'make-directory-'));
  onTestFinished(() => fs.rmSync(directory, { recursive: true }));
  return directory;
}

test('makes a directory with those that it is in, and says whether it did', () => {
  const directory = path.join(scratch(), 'a/b');
  expect(makeDirectory(fs, directory, 0o700)).toBe(true);
  expect(fs.statSync(directory).mode & 0o777).toBe(0o700);
  expect(makeDirectory(fs, directory, 0o755)).toBe(false);
  expect(fs.statSync(directory).mode & 0o777).toBe(0o700);
});

test('throws what the kernel says of the first that cannot be made', () => {
  const top = scratch();
  const mkdirSync = ((directory: string) => {
    const code = fs.existsSync(path.dirname(directory)) ? 'EROFS' : 'ENOENT';
    throw Object.assign(new Error(`${code}: ${directory}`), { code });
  }) as typeof fs.mkdirSync;
  expect(() => makeDirectory({ ...fs, mkdirSync }, path.join(top, 'a/b/c'), 0o700)).toThrow(
    `EROFS: ${top}/a`,
  );
});

test('makes all of it where only the first try fails', () => {
  const directory = path.join(scratch(), 'a/b');
  let isFirst = true;
  const mkdirSync = ((wanted: string, options: fs.MakeDirectoryOptions) => {
    if (!isFirst) return fs.mkdirSync(wanted, options);
    isFirst = false;
    throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
  }) as typeof fs.mkdirSync;
  expect(makeDirectory({ ...fs, mkdirSync }, directory, 0o700)).toBe(true);
  expect(fs.existsSync(directory)).toBe(true);
});

test('ends where the kernel says for ever that what a directory is to be in is not there', () => {
  const expectRefusal = (directory: string, parent: string) =>
    expect(() => makeDirectory(fs, directory, 0o700)).toThrow(
      expect.objectContaining({ code: 'ENOENT', message: `ENOENT: no directory can be made in ${parent}` }),
    );
  expectRefusal('/proc/x', '/proc');
  expectRefusal('/proc/x/y', '/proc');
});

test('says that a file is in the way', () => {
  const file = path.join(scratch(), 'file');
  fs.writeFileSync(file, '');
  expect(() => makeDirectory(fs, file, 0o700)).toThrow('EEXIST');
  expect(() => makeDirectory(fs, path.join(file, 'x/y'), 0o700)).toThrow('ENOTDIR');
});

test('is content with a link to a directory, and not with one that leads nowhere', () => {
  const top = scratch();
  const link = path.join(top, 'link');
  fs.symlinkSync(path.join(top, 'target'), link);
  expect(() => makeDirectory(fs, link, 0o700)).toThrow('EEXIST');
  fs.mkdirSync(path.join(top, 'target'));
  expect(makeDirectory(fs, link, 0o700)).toBe(false);
});
