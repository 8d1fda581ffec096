import type { Binding } from '../../../native/binding.ts';
import type { Log } from '../../world/log.ts';

/** Tells the service manager something: sd_notify(3) lines such as `READY=1`. */
export type Notify = (...lines: readonly string[]) => void;

/**
 * To the datagram socket that NOTIFY_SOCKET names, a path or `@` and an abstract name; without one nobody
 * is told. That it fails is logged, once.
 */
export function notifier(
  binding: Pick<Binding, 'sendUnixDatagram'>,
  socket: string | undefined,
  log: Log,
): Notify {
  if (socket === undefined || socket === '') return () => {};
  let failed = false;
  return (...lines) => {
    const result = binding.sendUnixDatagram(socket, Buffer.from(lines.join('\n')));
    if (result < 0 && !failed) log.warn({ socket, errno: -result }, 'cannot notify the service manager');
    failed ||= result < 0;
  };
}
