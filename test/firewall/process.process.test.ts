import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const src = path.resolve(import.meta.dirname, '../../src');

/** In a process of its own: it takes all descriptors that it may have, runs, and lets go of them. */
const script = `
  import fs from 'node:fs';
  const { runProcess } = await import('${src}/firewall/process.ts');
  const { shellCommand } = await import('${src}/daemon/devices/command.ts');
  const taken = [];
  try { for (;;) taken.push(fs.openSync('/dev/null')); } catch {}
  const outcomes = Promise.all([
    runProcess()('true', []),
    shellCommand(process.env)('true', { environment: {}, input: '', limit: 1000 }),
  ]);
  const told = await outcomes;
  for (const fd of taken) fs.closeSync(fd);
  console.log(JSON.stringify(told));`;

test('a program that cannot be started for want of descriptors is a failure like any other', async () => {
  const { stdout } = await promisify(execFile)('/bin/sh', [
    '-c',
    'ulimit -n 100; exec "$0" --input-type=module -e "$1"',
    process.execPath,
    script,
  ]);
  expect(JSON.parse(stdout)).toEqual([
    { code: -1, stdout: '', stderr: 'spawn true EMFILE' },
    { output: '', failure: 'it cannot be started: spawn /bin/sh EMFILE' },
  ]);
});
