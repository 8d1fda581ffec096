/** One after the other as a text, of sentences that have no full stop at their end; a question mark they have. */
export const sentences = (...all: readonly string[]): string =>
  all.map((each, i) => (i === all.length - 1 || each.endsWith('?') ? each : `${each}.`)).join(' ');
