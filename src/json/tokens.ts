/** The bytes of JSON's punctuation. */
export const QUOTE = 0x22;
export const BACKSLASH = 0x5c;
export const COLON = 0x3a;
export const COMMA = 0x2c;
export const BRACE = 0x7b;
export const BRACE_END = 0x7d;
export const BRACKET = 0x5b;
export const BRACKET_END = 0x5d;

export const isSpace = (byte: number): boolean =>
  byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

/** What ends a number or a word. */
export const isEnd = (byte: number): boolean =>
  byte === COMMA || byte === BRACE_END || byte === BRACKET_END || isSpace(byte);
