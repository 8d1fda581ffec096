import { fstatSync, readFileSync, writeSync } from 'node:fs';
import { loadBinding } from '../../native/binding.ts';
import { asCniError, CniError, cniCodes, errorDocument } from './error.ts';
import type { Reply } from './launcher/frame.ts';
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

async function run(environment: NodeJS.ProcessEnv, read: () => Buffer): Promise<Reply> {
  try {
    return await serveAlone(load(), environment, read());
  } catch (error) {
    return { status: 1, stdout: errorDocument(asCniError(error), currentVersion), stderr: '' };
  }
}

/** False: nobody can be told. */
function print(fd: number, text: string): boolean {
  try {
    for (let rest = Buffer.from(text); rest.length > 0; ) rest = rest.subarray(writeSync(fd, rest));
    return true;
  } catch {
    return false;
  }
}

/** Answers the exit status. */
async function main(environment: NodeJS.ProcessEnv): Promise<number> {
  const command = environment['CNI_COMMAND'] ?? '';
  let input: Buffer = Buffer.alloc(0);
  const { status, stdout, stderr } = await run(environment, () => (input = readInput(command)));
  print(2, stderr);
  if (print(1, stdout)) return status;
  // As with the daemon: what nobody was told of must not stay.
  if (command === 'ADD' && status === 0) await run({ ...environment, CNI_COMMAND: 'DEL' }, () => input);
  return 1;
}

// Nothing is left to wait for then, and node would look for it.
void main(process.env).then((status) => process.exit(status));
