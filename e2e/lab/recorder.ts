/** A CNI call that the recorder (recorder.c) has seen. */
export interface Call {
  readonly startMs: number;
  /** From outside, the start of the process included. */
  readonly tookMs: number;
  readonly exit: number;
  readonly plugin: string;
  readonly CNI_COMMAND: string;
  readonly CNI_CONTAINERID: string;
  readonly CNI_NETNS: string;
  readonly CNI_IFNAME: string;
  readonly CNI_ARGS: string;
  readonly CNI_PATH: string;
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
}

export function parseCalls(text: string): Call[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Call);
}

/** Whether the runtime handed the result of the ADD back. */
export function hasPrevResult(call: Call): boolean {
  const configuration = JSON.parse(call.stdin) as { prevResult?: unknown };
  return configuration.prevResult !== undefined;
}
