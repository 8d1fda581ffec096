import path from 'node:path';
import { type LastKnown, lastKnownText, parseLastKnown } from '../../lease/last-known.ts';
import type { PodNetwork } from '../../lease/lease.ts';
import type { Log } from '../../world/log.ts';
import { textOf, writeWhole } from './file.ts';
import { fits } from '../leases/own-lease.ts';

/** `state.json` in `--state-dir`: what a start without the registry goes by. */
export class StateFile {
  readonly #file: string;
  readonly #log: Log;

  constructor(directory: string, log: Log) {
    this.#file = path.join(directory, 'state.json');
    this.#log = log;
  }

  /** One that is of no use is as good as none; it is told. */
  read(): LastKnown | undefined {
    const text = textOf(this.#file, this.#log);
    if (text === undefined) return undefined;
    try {
      return parseLastKnown(text, this.#file);
    } catch (error) {
      const why = (error as Error).message;
      this.#log.warn({ file: this.#file }, `the last known state is of no use and is left out: ${why}`);
      return undefined;
    }
  }

  /** The same, if this node's lease is one of that network. */
  readIn(network: PodNetwork): LastKnown | undefined {
    const known = this.read();
    return known !== undefined && fits(network, known.own) ? known : undefined;
  }

  /** Throws the file system's error. */
  write(state: LastKnown): void {
    writeWhole(this.#file, lastKnownText(state), { file: 0o600, directory: 0o700 });
  }
}
