import type { Log } from '../../world/log.ts';
import { removeCniConf } from './cni-conf.ts';

export interface StandAsideInput {
  /** Where the container runtime looks for lists of CNI plugins. */
  readonly directory: string;
  readonly log: Log;
  notify(...states: string[]): void;
  /** Answers on, if it was asked for. */
  readonly health: { close(): void } | undefined;
}

/**
 * K3s's backend `none`: the network is another CNI plugin's. Unlike K3s, flannel's own list of plugins goes: the runtime
 * takes the first by name. Nothing is started, and what is in the kernel stays, since pods may still use it. Stays until it
 * is told to end, so that nobody starts it again and again.
 */
export function standAside({ directory, log, notify, health }: StandAsideInput): {
  readonly ready: Promise<void>;
  stop(): Promise<void>;
} {
  removeCniConf(directory, log);
  log.warn(
    { directory },
    'the backend is "none": flanneld makes no network on this node. Install another CNI plugin, with its list of plugins in ' +
      `${directory}, and make the pods anew; devices and routes that flannel made stay until the node starts again`,
  );
  notify('READY=1', 'STATUS=the backend is none: the network is made by others');
  return {
    ready: Promise.resolve(),
    stop() {
      notify('STOPPING=1');
      health?.close();
      return Promise.resolve();
    },
  };
}
