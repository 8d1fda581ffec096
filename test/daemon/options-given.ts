import { readCommand, type Sources } from '../../src/daemon/options/configuration.ts';
import type { Options } from '../../src/daemon/options/options.ts';

/** What flanneld reads from these flags. */
export function given(...args: string[]): { options: Options; sources: Sources } {
  const command = readCommand(args, {});
  if (command.does !== 'run') throw new Error(`it only wants to show ${command.does}`);
  return command;
}
