import fs, { readFileSync, writeSync } from 'node:fs';
import { requireCapabilities } from './host/capabilities.ts';
import { configurationFile, readCommand } from './options/configuration.ts';
import { readConfigurationFile } from './options/configuration-file.ts';
import { UsageError } from './options/go-flags.ts';
import { helpText } from './options/help.ts';
import { openLog } from './report/log.ts';
import { logWriter } from './report/log-writer.ts';
import { shownOptions } from './options/options.ts';
import { startProgram, tryProgram } from './program.ts';
import { version } from './version.ts';

/** flanneld: exits with 2 for a bad command line, with 1 when it cannot start, with 0 after SIGTERM or SIGINT. */
async function main(args: readonly string[]): Promise<number | undefined> {
  const file = configurationFile(args, process.env);
  const settings = file === undefined ? [] : await readConfigurationFile(file, fs);
  const command = readCommand(args, process.env, settings);
  if (command.does === 'help') {
    process.stdout.write(helpText());
    return 0;
  }
  if (command.does === 'version') {
    // To stderr, as Go flannel does.
    process.stderr.write(`${version}\n`);
    return 0;
  }
  const { options, ignored, foreignKeys } = command;
  const log = openLog({
    verbosity: options.v,
    readable: process.stderr.isTTY,
    write: logWriter({
      write: (bytes) => writeSync(2, bytes),
      pause: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1),
      lostLines: (count) =>
        `${JSON.stringify({ level: 'warn', time: Date.now(), msg: `${count} lines are missing here: the log was not read fast enough` })}\n`,
    }),
  });
  if (ignored.length > 0) {
    log.warn({ ignored }, 'these arguments come after the flags, and nobody looks at them');
  }
  if (foreignKeys.length > 0) {
    log.info(
      { file, keys: foreignKeys },
      'these keys of the configuration file are for others, and nobody looks at them here',
    );
  }
  requireCapabilities(readFileSync('/proc/self/status', 'utf8'));
  if (options['adopt-dry-run']) {
    writeSync(1, await tryProgram(command, process.env, log));
    return 0;
  }
  log.info({ version, given: shownOptions(options, command.sources) }, 'flanneld starts');
  const ended = signalled();
  const stopping = new AbortController();
  void ended.then(() => stopping.abort());
  const program = await startProgram(command, process.env, log, stopping.signal);
  if (program === undefined) return 0;
  try {
    await Promise.race([program.ready, ended]);
    log.info({ signal: await ended }, 'flanneld stops; the network stays as it is');
  } finally {
    await program.stop();
  }
  return 0;
}

function signalled(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
}

/** What an operator can mend gets its sentence; anything else is a defect, and keeps its stack. */
function fail(error: unknown): number {
  if (error instanceof UsageError) {
    writeSync(2, `${lines(error.message)}\n`);
    return 2;
  }
  const { name, message, stack } = error as Error;
  const isDefect = ['TypeError', 'RangeError', 'ReferenceError', 'AssertionError'].includes(name);
  writeSync(2, `${isDefect ? `flanneld: ${stack ?? message}` : lines(message)}\n`);
  return 1;
}

/** One a finding. */
const lines = (message: string): string => message.replace(/^/gm, 'flanneld: ');

main(process.argv.slice(2)).then(
  (status) => process.exit(status ?? 0),
  (error: unknown) => process.exit(fail(error)),
);
