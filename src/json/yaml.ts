import { JsonError, maxLength } from './go-json.ts';

/** An entry of a YAML mapping: scalars are the strings that are written, `true` and `10` too; lists and mappings hold such. */
export interface YamlEntry {
  readonly key: string;
  readonly value: unknown;
  /** Counted from 1. */
  readonly line: number;
}

/**
 * The entries of a document that is one mapping, in their order; an empty one has none. `source` says in messages what was
 * read, and nothing of its text is quoted there: it may hold a key. Throws a {@link JsonError}.
 */
export async function yamlEntries(text: string, source: string): Promise<YamlEntry[]> {
  if (text.length > maxLength) throw new JsonError(`${source} is longer than ${maxLength} characters`);
  // Only who has a YAML file pays for its reader.
  const { isMap, isScalar, LineCounter, parseDocument } = await import('yaml');
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { schema: 'failsafe', prettyErrors: false, lineCounter });
  const lineAt = (offset: number | undefined): number => lineCounter.linePos(offset ?? 0).line;
  const [error] = document.errors;
  if (error !== undefined)
    throw new JsonError(`${source}:${lineAt(error.pos[0])} is not YAML (${error.code})`);
  const { contents } = document;
  if (contents === null || (isScalar(contents) && contents.value === '')) return [];
  if (!isMap(contents)) throw new JsonError(`${source} must be a mapping: lines such as "key: value"`);
  return contents.items.map(({ key, value }) => {
    if (!isScalar(key)) throw new JsonError(`${source}: a key that is no word`);
    return { key: String(key.value), value: plain(document, value), line: lineAt(key.range?.[0]) };
  });

  function plain(within: typeof document, node: unknown): unknown {
    try {
      return (node as { toJS(within: unknown): unknown } | null)?.toJS(within) ?? '';
    } catch {
      throw new JsonError(`${source} repeats itself without end by its aliases`);
    }
  }
}
