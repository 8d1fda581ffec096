import { mkdtempSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

/** The rooms from the ground up (docs/architecture.md): a room uses the rooms before it, never one after. */
const rooms = [
  'native',
  'world',
  'json',
  'http',
  'net',
  'netlink',
  'wireguard',
  'kernel',
  'firewall',
  'lease',
  'backend',
  'ipam',
  'cni',
  'daemon',
  'tool',
];

/** Packages, and the only rooms that may load them. */
const packages: Record<string, readonly string[]> = {
  pino: ['daemon'],
  yargs: ['tool'],
  yaml: ['json'],
  valibot: ['json', 'lease', 'backend', 'cni', 'daemon'],
};

describe('the rooms', () => {
  test('import downward only', () => {
    expect(violations(path.resolve(import.meta.dirname, '..'))).toEqual([]);
  });

  test('and this test sees an upward import, an unknown room and a stray package', () => {
    const root = mkdtempSync(path.join(tmpdir(), 'layering-'));
    const write = (file: string, text: string) => {
      mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
      writeFileSync(path.join(root, file), text);
    };
    write('native/binding.ts', '');
    write('src/net/up.ts', `import type { X } from '../daemon/x.ts';`);
    write('src/net/lazy.ts', `const x = await import('../tool/x.ts');`);
    write('src/attic/x.ts', '');
    write('src/net/heavy.ts', `import pino from 'pino';`);
    write('src/daemon/fine.ts', `import { pino } from 'pino';\nimport { x } from '../net/up.ts';`);
    expect(violations(root)).toEqual([
      'src/attic/x.ts: attic is no room of the plan',
      'src/net/heavy.ts: net must not load pino',
      'src/net/lazy.ts: net must not use tool',
      'src/net/up.ts: net must not use daemon',
    ]);
  });
});

function violations(root: string): string[] {
  const files = ['native', 'src'].flatMap((dir) => sources(root, dir));
  return files.flatMap((file) => violationsOf(root, file)).toSorted();
}

function sources(root: string, dir: string): string[] {
  return readdirSync(path.join(root, dir), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => path.join(dir, name));
}

function violationsOf(root: string, file: string): string[] {
  const room = roomOf(file);
  const rank = rooms.indexOf(room);
  if (rank === -1) return [`${file}: ${room} is no room of the plan`];
  const text = readFileSync(path.join(root, file), 'utf8');
  const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '');
  return imports.flatMap((target) => {
    if (target.startsWith('node:')) return [];
    if (!target.startsWith('.')) {
      const allowed = packages[target.split('/')[0] ?? ''];
      return allowed?.includes(room) === true ? [] : [`${file}: ${room} must not load ${target}`];
    }
    const other = roomOf(path.join(path.dirname(file), target));
    return rooms.indexOf(other) <= rank ? [] : [`${file}: ${room} must not use ${other}`];
  });
}

function roomOf(file: string): string {
  const parts = file.split(path.sep);
  return (parts[0] === 'src' ? parts[1] : parts[0]) ?? '';
}
