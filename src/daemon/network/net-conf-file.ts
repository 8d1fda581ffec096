import type { Clock } from '../../world/clock.ts';
import type { ConfigInUse } from './config-in-use.ts';

/** Milliseconds. Kubelet takes about a minute to bring a changed ConfigMap. */
const lookEvery = 5000;

export interface NetConfFileOptions {
  readonly inUse: Pick<ConfigInUse, 'compare'>;
  /** The file's text. Throws the error of node:fs. At the start it may have been a pipe, which is not to be waited for. */
  read(): string;
  readonly clock: Clock;
}

/**
 * Looks at net-conf.json now and then: where it comes from a ConfigMap, its directory is replaced and no watch would last. A change is
 * told; it comes into use with the next start, as by Go flannel. Answers how to end it.
 */
export function followNetConf({ inUse, read, clock }: NetConfFileOptions): () => void {
  let cancel = (): void => {};
  const lookLater = (): void => {
    cancel = clock.after(lookEvery, () => {
      look();
      lookLater();
    });
  };
  const look = (): void => {
    try {
      inUse.compare(read());
    } catch (error) {
      // One that is there and cannot be read just now may be what it was.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') inUse.compare(undefined);
    }
  };
  lookLater();
  return () => cancel();
}
