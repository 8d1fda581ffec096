import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const directory = path.join(import.meta.dirname, 'golden');

/** Bytes that a kernel or iproute2 really sent, with what they mean. capture.ts makes them. */
export interface Golden {
  readonly codec: string;
  readonly name: string;
  /** The command whose state a kernel message shows, or that sent a request. */
  readonly command: string;
  /** What follows nlmsghdr. */
  readonly bytes: Uint8Array;
  readonly value: object;
  /** Attributes that no table knows come last when written again; all other rows are the same bytes again. */
  readonly exact: boolean;
}

/** The rows of every file in golden/. */
export function golden(): Golden[] {
  return readdirSync(directory)
    .toSorted()
    .flatMap((file) => {
      const rows = JSON.parse(readFileSync(path.join(directory, file), 'utf8'), revive) as Omit<
        Golden,
        'codec'
      >[];
      // What another machine recorded stands beside it: link.ipip.json.
      return rows.map((row) => ({ codec: file.split('.')[0] ?? '', ...row }));
    });
}

/** JSON for values: bytes as {"hex"}, 64-bit numbers as {"u64"}. */
export function replace(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return { u64: String(value) };
  return value instanceof Uint8Array ? { hex: Buffer.from(value).toString('hex') } : value;
}

function revive(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if ('hex' in value) return Uint8Array.from(Buffer.from(String(value.hex), 'hex'));
  return 'u64' in value ? BigInt(String(value.u64)) : value;
}
