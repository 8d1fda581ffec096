import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');

test('docs/architecture.md, where to read what: each file is there', () => {
  const page = readFileSync(path.join(root, 'docs/architecture.md'), 'utf8');
  const [, guide = ''] = /^## Where to read what$([^]*?)^## /m.exec(page) ?? [];
  const tables = guide.split(/^(?=\| in `src\/)/m).slice(1);
  const named = tables.flatMap((table) => {
    const [room = '', ...names] = [...table.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
    return names.map((name) => (name.startsWith('src/') ? name : `${room}${name}.ts`));
  });
  expect(named.length).toBeGreaterThan(50);
  expect(named.filter((file) => !existsSync(path.join(root, file)))).toEqual([]);
});
