export interface LogWriterOptions {
  /** As writeSync on the descriptor: how many bytes it took. Throws, also when the reader has no room (EAGAIN). */
  readonly write: (bytes: Uint8Array) => number;
  /** Waits a moment: a millisecond. */
  readonly pause: () => void;
  /** The line that says how many are missing. */
  readonly lostLines: (count: number) => string;
}

/** How many moments a slow reader gets, until lines are lost. */
const patience = 50;

/**
 * Writes lines before it returns, as long as somebody reads them. Who is slow, or gone, never ends or stops the daemon: what
 * does not go out is counted, and told when there is room again. A line that has begun is never torn by another.
 */
export function logWriter({ write, pause, lostLines }: LogWriterOptions): (line: string) => void {
  /** Of a line of which a part went out. */
  let rest: Uint8Array = new Uint8Array();
  let lost = 0;
  const flush = (bytes: Uint8Array): Uint8Array => {
    let left = bytes;
    // Nobody waits twice for the same slow reader.
    for (let tries = lost === 0 ? patience : 0; left.length > 0; tries--) {
      left = left.subarray(writeSome(write, left));
      if (left.length === 0 || tries <= 0) break;
      pause();
    }
    return left;
  };
  return (line) => {
    rest = flush(rest);
    if (rest.length > 0) {
      lost++;
      return;
    }
    const bytes = Buffer.from(lost === 0 ? line : lostLines(lost) + line);
    const left = flush(bytes);
    if (left.length === bytes.length) lost++;
    else [rest, lost] = [left, 0];
  };
}

function writeSome(write: (bytes: Uint8Array) => number, bytes: Uint8Array): number {
  try {
    return write(bytes);
  } catch {
    return 0; // there is nobody who could be told
  }
}
