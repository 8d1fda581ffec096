/** What a JSON text may have next, as a stack of what is open says it. */
type Expectation =
  | 'a value'
  | 'a value or "]"'
  | 'a key in quotes'
  | 'a key in quotes or "}"'
  | '":"'
  | 'the end';

const token =
  /[ \t\n\r]*(?:([[\]{}:,])|("(?:[^"\\\p{Cc}]|[\u007f-\u009f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)(?![A-Za-z0-9_.+-]))/uy;

/**
 * Where a text stops being JSON, and what should be there: `line 3, column 5: expected ":", found "}"`. Unlike
 * V8's message it always has the place, and never quotes the text, which may hold keys. For texts that
 * JSON.parse has refused.
 */
export function explainSyntax(text: string): string {
  const open: ('[' | '{')[] = [];
  let expected: Expectation = 'a value';
  let at = 0;
  for (;;) {
    token.lastIndex = at;
    const match = token.exec(text);
    const next: Expectation | undefined = match === null ? undefined : after(match, expected, open);
    if (next === undefined) return describe(text, at, expected, open);
    expected = next;
    at = token.lastIndex;
  }
}

/** What may follow the token; undefined when it may not be here. Keeps `open` up to date. */
function after(
  [, mark, string, literal]: RegExpExecArray,
  expected: Expectation,
  open: ('[' | '{')[],
): Expectation | undefined {
  const isKeyPlace = expected.startsWith('a key');
  const isValuePlace = expected.startsWith('a value');
  if (string !== undefined && isKeyPlace) return '":"';
  if (string !== undefined || literal !== undefined) return isValuePlace ? 'the end' : undefined;
  if (mark === ':') return expected === '":"' ? 'a value' : undefined;
  if (mark === ',') {
    if (expected !== 'the end' || open.length === 0) return undefined;
    return open.at(-1) === '{' ? 'a key in quotes' : 'a value';
  }
  if (mark === '{' || mark === '[') {
    if (!isValuePlace) return undefined;
    open.push(mark);
    return mark === '{' ? 'a key in quotes or "}"' : 'a value or "]"';
  }
  const closes = mark === '}' ? '{' : '[';
  const canClose = expected === 'the end' || expected.endsWith(`or "${mark}"`);
  if (!canClose || open.at(-1) !== closes) return undefined;
  open.pop();
  return 'the end';
}

function describe(text: string, from: number, expected: Expectation, open: ('[' | '{')[]): string {
  const at = from + (/^[ \t\n\r]*/.exec(text.slice(from))?.[0].length ?? 0);
  const before = text.slice(0, at);
  const line = before.split('\n').length;
  const column = at - before.lastIndexOf('\n');
  const close = open.at(-1) === '{' ? '"," or "}"' : '"," or "]"';
  const wanted = expected === 'the end' && open.length > 0 ? close : expected;
  return `line ${line}, column ${column}: expected ${wanted}, found ${found(text.codePointAt(at), expected)}`;
}

function found(code: number | undefined, expected: Expectation): string {
  if (code === undefined) return 'the end of the text';
  if (code === 0xfeff) return 'a byte order mark (save the file without it)';
  if (code === 0x22)
    return expected.startsWith('a ') ? 'a string that is not closed or not valid' : 'a string';
  if (code >= 0x30 && code <= 0x39)
    return expected.startsWith('a value') ? 'a number that is not valid' : 'a number';
  if (code > 0x20 && code < 0x7f) return JSON.stringify(String.fromCodePoint(code));
  return `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
}
