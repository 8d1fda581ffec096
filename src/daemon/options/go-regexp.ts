/** What POSIX calls classes: Go knows them within brackets. */
const classes: Readonly<Record<string, string>> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  digit: '0-9',
  lower: 'a-z',
  upper: 'A-Z',
  word: String.raw`\w`,
  xdigit: '0-9A-Fa-f',
};

const tokens = /\\[\s\S]|\(\?P<|\(\?<?[=!]|\[:([a-z]+):\]/g;

/**
 * A regular expression in the syntax of Go's package `regexp`, as far as names and addresses of interfaces need it.
 * Undefined for what is none there: look-around and references back too.
 */
export function goRegExp(text: string): RegExp | undefined {
  const [, flags = '', body = ''] = /^(?:\(\?([ims]+)\))?([\s\S]*)$/.exec(text) ?? [];
  let known = true;
  const translated = body.replaceAll(tokens, (token: string, name: string | undefined) => {
    if (name !== undefined) {
      known &&= Object.hasOwn(classes, name);
      return classes[name] ?? '';
    }
    if (token === '(?P<') return '(?<';
    if (token === String.raw`\A`) return String.raw`(?<![\s\S])`;
    if (token === String.raw`\z`) return String.raw`(?![\s\S])`;
    known &&= !token.startsWith('(?') && !/^\\[1-9]$/.test(token);
    return token;
  });
  try {
    return known ? new RegExp(translated, [...new Set(flags)].join('')) : undefined;
  } catch {
    return undefined;
  }
}
