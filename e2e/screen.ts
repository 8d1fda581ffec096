import { styleText } from 'node:util';

/** What a person reads while the demo runs. Colours only where a terminal shows them. */
export class Screen {
  readonly #start = performance.now();

  heading(text: string): void {
    console.log(`\n${paint('bold', text)}`);
  }

  /** A line with the time since the start before it. */
  say(text: string): void {
    const seconds = ((performance.now() - this.#start) / 1000).toFixed(1).padStart(5);
    console.log(`${paint('dim', `${seconds} s`)}  ${text}`);
  }

  good(text: string): void {
    this.say(`${paint('green', '✓')} ${text}`);
  }

  bad(text: string): void {
    this.say(`${paint('red', '✗')} ${text}`);
  }

  verdict(ok: boolean, text: string): void {
    if (ok) this.good(text);
    else this.bad(text);
  }

  table(rows: readonly (readonly string[])[]): void {
    const columns = Math.max(...rows.map((row) => row.length));
    const widths = Array.from({ length: columns }, (_, i) =>
      Math.max(...rows.map((row) => row[i]?.length ?? 0)),
    );
    rows.forEach((row, line) => {
      const text = row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd();
      console.log(`         ${line === 0 ? paint('dim', text) : text}`);
    });
  }
}

function paint(format: 'bold' | 'dim' | 'green' | 'red', text: string): string {
  return styleText(format, text, { stream: process.stdout });
}
