import { styleText } from 'node:util';

/** Where a command writes what a person reads. */
export interface Print {
  line(text?: string): void;
  heading(text: string): void;
  good(text: string): void;
  bad(text: string): void;
  /** Indented JSON under a label. */
  json(label: string, value: unknown): void;
}

/** Colours only on a terminal, and never with NO_COLOR. */
export function printTo(stream: NodeJS.WriteStream): Print {
  const style = (format: Parameters<typeof styleText>[0], text: string) =>
    styleText(format, text, { stream });
  const line = (text = '') => void stream.write(`${text}\n`);
  return {
    line,
    heading: (text) => line(style('bold', text)),
    good: (text) => line(style('green', text)),
    bad: (text) => line(style('red', text)),
    json(label, value) {
      line(`  ${style('dim', label)}`);
      line(JSON.stringify(value, null, 2).replace(/^/gm, '    '));
    },
  };
}

/** `3.1 ms`: three significant figures are more than a noisy machine can give. */
export function milliseconds(value: number): string {
  return value < 10
    ? `${value.toFixed(1)} ms`
    : value < 1000
      ? `${value.toFixed(0)} ms`
      : `${(value / 1000).toFixed(1)} s`;
}
