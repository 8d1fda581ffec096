import { fstatSync, readFileSync, writeSync } from 'node:fs';
import { loadBinding } from '../../native/binding.ts';
import { asCniError, CniError, cniCodes, errorDocument } from './error.ts';
import type { Reply } from './frame.ts';
import { serveAlone } from './stand-alone.ts';
import { currentVersion } from './version.ts';

/** The launcher's own codes begin here. */
const runtimeIncomplete = 100;

/** Someone who tries the program by hand gets an answer and no waiting for input. */
function readInput(command: string): Buffer {
  if (command === '' || command === 'VERSION' || isTerminal()) return Buffer.alloc(0);
  try {
    return readFileSync(0);
  } catch (error) {
    throw new CniError(cniCodes.ioFailure, `error reading from stdin: ${(error as Error).message}`);
  }
}

/** Terminals are character devices; node:tty, which knows more, is loaded for those alone. */
function isTerminal(): boolean {
  return fstatSync(0).isCharacterDevice() && process.getBuiltinModule('node:tty').isatty(0);
}

function load() {
  try {
    return loadBinding();
  } catch (error) {
    throw new CniError(
      runtimeIncomplete,
      (error as Error).message,
      'the directory of the runtime is not complete: install it anew',
    );
  }
}

async function run(): Promise<Reply> {
  try {
    return await serveAlone(load(), process.env, readInput(process.env['CNI_COMMAND'] ?? ''));
  } catch (error) {
    return { status: 1, stdout: errorDocument(asCniError(error), currentVersion), stderr: '' };
  }
}

function write(fd: number, text: string): void {
  for (let rest = Buffer.from(text); rest.length > 0; ) rest = rest.subarray(writeSync(fd, rest));
}

void run().then(({ status, stdout, stderr }) => {
  write(2, stderr);
  write(1, stdout);
  // Nothing is left to wait for, and node would look for it.
  process.exit(status);
});
