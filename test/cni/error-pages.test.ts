import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { cniCodes } from '../../src/cni/error.ts';

const root = path.join(import.meta.dirname, '../..');
const page = readFileSync(path.join(root, 'docs/errors/cni.md'), 'utf8');

test('docs/errors/cni.md has a line for each code that the plugin and its launcher give, and no others', () => {
  const launcher = readFileSync(path.join(root, 'native/launcher.c'), 'utf8');
  const [, own = ''] = /FLANNEL_RUNTIME_MISSING = (\d+)/.exec(launcher) ?? [];
  const listed = [...page.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code));
  expect(listed).toEqual([...Object.values(cniCodes), Number(own)].toSorted((a, b) => a - b));
});
