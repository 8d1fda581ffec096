import { readFileSync, statSync } from 'node:fs';

/** The text of a file. Throws the error of node:fs, and for what is no regular file as {@link expectRegularFile}. */
export function readRegularFile(file: string): string {
  expectRegularFile(file);
  return readFileSync(file, 'utf8');
}

/** The kernel's number of /dev/null, which is as good as an empty file. */
const nullDevice = 0x103;

/** Throws an Error for a pipe, which holds its reader until somebody writes, a device, which may have no end, and the like. */
export function expectRegularFile(file: string): void {
  const stat = statSync(file);
  const isNull = stat.isCharacterDevice() && stat.rdev === nullDevice;
  if (!stat.isFile() && !isNull) throw new Error('it is no regular file');
}
