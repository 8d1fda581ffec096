import type { Pod } from './pod.ts';

export interface Traffic {
  readonly sent: number;
  readonly lost: number;
}

/** Pings every 10 ms for some seconds, one packet after the other, answered or not. */
export async function traffic(from: Pod, to: string, seconds: number): Promise<Traffic> {
  const count = seconds * 100;
  const output = await from.exec(`ping -c ${count} -i 0.01 -W 1 ${to} | tail -n 3 || true`, seconds + 30);
  const [, sent = '0', received = '0'] =
    /(\d+) packets transmitted, (\d+) packets received/.exec(output) ?? [];
  if (Number(sent) === 0) throw new Error(`ping of ${to} from ${from.name} sent nothing: ${output}`);
  return { sent: Number(sent), lost: Number(sent) - Number(received) };
}
