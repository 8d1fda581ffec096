import type fs from 'node:fs';

/** What this room asks of a file system: node:fs itself, or one that fails on purpose. */
export type Files = Pick<
  typeof fs,
  | 'closeSync'
  | 'constants'
  | 'existsSync'
  | 'fstatSync'
  | 'ftruncateSync'
  | 'mkdirSync'
  | 'openSync'
  | 'readdirSync'
  | 'readFileSync'
  | 'readSync'
  | 'statSync'
  | 'unlinkSync'
  | 'utimesSync'
  | 'writeSync'
>;
