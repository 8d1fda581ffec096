import { JsonError } from '../../json/go-json.ts';
import { yamlEntries } from '../../json/yaml.ts';
import type { Setting } from './configuration.ts';
import { UsageError } from './go-flags.ts';

/** The part of node:fs that is needed. */
export interface ConfigurationFiles {
  readFileSync(file: string, encoding: 'utf8'): string;
  readdirSync(directory: string): string[];
}

/**
 * A configuration file in the manner of K3s: first `file`, then those of `file`.d/*.yaml in the order of their names. A later
 * value takes the place of an earlier one; with a `+` after its key it comes after it. Rejects with a {@link UsageError}.
 */
export async function readConfigurationFile(file: string, files: ConfigurationFiles): Promise<Setting[]> {
  const settings = new Map<string, Setting>();
  for (const path of [file, ...dropIns(file, files)]) {
    for (const { key: written, value, line } of await entriesOf(path, files)) {
      const key = written.replace(/\+$/, '');
      const before = key === written ? [] : (settings.get(key)?.texts ?? []);
      settings.set(key, { key, texts: [...before, ...textsOf(value)], where: `${path}:${line}` });
    }
  }
  return [...settings.values()];
}

function dropIns(file: string, files: ConfigurationFiles): string[] {
  try {
    const names = files.readdirSync(`${file}.d`).filter((name) => /\.ya?ml$/.test(name));
    return names.toSorted().map((name) => `${file}.d/${name}`);
  } catch {
    return [];
  }
}

async function entriesOf(path: string, files: ConfigurationFiles) {
  try {
    return await yamlEntries(files.readFileSync(path, 'utf8'), path);
  } catch (error) {
    if (error instanceof JsonError) throw new UsageError(error.message);
    throw new UsageError(`${path} cannot be read: ${(error as Error).message}; --config names another file`);
  }
}

/** No value is none given, as with variables. */
const textsOf = (value: unknown): string[] =>
  (Array.isArray(value) ? value : [value])
    .map((item) => (typeof item === 'string' ? item : JSON.stringify(item)))
    .filter((text) => text !== '');
