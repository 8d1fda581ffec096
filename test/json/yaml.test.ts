import { describe, expect, test } from 'vitest';
import { JsonError } from '../../src/json/go-json.ts';
import { yamlEntries } from '../../src/json/yaml.ts';

describe('a YAML mapping', () => {
  test('keeps its order, its words and its lines', async () => {
    const text = 'b: on\n\na: [010, ~, "x: y"]\nc: &c {d: 1.0}\ne: *c\nf: |\n  two\n  lines\ng:\n';
    expect(await yamlEntries(text, 'x')).toEqual([
      { key: 'b', value: 'on', line: 1 },
      { key: 'a', value: ['010', '~', 'x: y'], line: 3 },
      { key: 'c', value: { d: '1.0' }, line: 4 },
      { key: 'e', value: { d: '1.0' }, line: 5 },
      { key: 'f', value: 'two\nlines\n', line: 6 },
      { key: 'g', value: '', line: 9 },
    ]);
  });

  test('that cannot be read is named with its line, and nothing of it is quoted', async () => {
    const read = yamlEntries('token: K10secret\npassword: "K10secret\n', 'x.yaml');
    await expect(read).rejects.toThrow(JsonError);
    await expect(read).rejects.toThrow(/^x\.yaml:\d+ is not YAML/);
    await expect(read).rejects.not.toThrow(/secret/);
  });

  test('of more than 4 MB is not read', async () => {
    await expect(yamlEntries(`a: ${'x'.repeat(4 * 1024 * 1024)}`, 'x')).rejects.toThrow('x is longer than');
  });
});
