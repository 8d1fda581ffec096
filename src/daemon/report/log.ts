import { pino } from 'pino';
import type { Log } from '../../world/log.ts';

export interface LogOptions {
  /** As --v: everything from 1 on. */
  readonly verbosity: number;
  /** Lines for a person instead of JSON. */
  readonly readable: boolean;
  /** To be written before it returns: what was said before a crash is there. */
  readonly write: (text: string) => void;
}

/** The daemon's log: one JSON object a line, or one readable line. */
export function openLog({ verbosity, readable, write }: LogOptions): Log {
  const level = verbosity >= 1 ? 'debug' : 'info';
  const stream = { write: readable ? (line: string) => write(readableLine(line)) : write };
  return pino({ level, base: null, formatters: { level: (label) => ({ level: label }) } }, stream);
}

/** `12:04:05.123 warn  what happened peer=node-2` out of pino's line. */
function readableLine(line: string): string {
  const { time, level, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const clock = new Date(Number(time)).toISOString().slice(11, 23);
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${shown(value)}`);
  const stack = (err as { stack?: string } | undefined)?.stack;
  const trace = stack === undefined ? '' : `\n${stack.replace(/^/gm, '    ')}`;
  return `${clock} ${String(level).padEnd(5)} ${String(msg)}${rest.join('')}${trace}\n`;
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return typeof value === 'string' && /[\s"=]/.test(value) ? JSON.stringify(value) : text;
}
