import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  keepKey,
  KeyFileError,
  keyFilesOf,
  type KeySources,
} from '../../src/daemon/devices/wireguard-key.ts';
import { parseSecret, privateKeyOf, Secret } from '../../src/wireguard/key.ts';

const keyText = (n: number): string =>
  Buffer.from(privateKeyOf(new Secret(new Uint8Array(32).fill(n))).reveal()).toString('base64');
const textOf = (secret: Secret): string => Buffer.from(secret.reveal()).toString('base64');

let directory: string;
let warnings: string[];
const at = (name: string): string => path.join(directory, name);
const write = (name: string, text: string) => {
  fs.mkdirSync(path.dirname(at(name)), { recursive: true });
  fs.writeFileSync(at(name), text);
};
const read = (name: string): string => fs.readFileSync(at(name), 'utf8');
const mode = (name: string): string => (fs.statSync(at(name)).mode & 0o777).toString(8);

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(tmpdir(), 'wgkey-'));
  warnings = [];
});
afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

function keep(more: Partial<KeySources> = {}): string {
  const environment = { WIREGUARD_KEY_FILE: at('run/wgkey') };
  return textOf(
    keepKey({
      files: keyFilesOf(environment, at('state')),
      legacyFile: at('k3s/privatekey'),
      device: undefined,
      random: (bytes) => new Uint8Array(bytes).fill(9),
      log: {
        debug() {},
        info() {},
        warn: (_fields, message) => void warnings.push(message),
        error: (_fields, message) => void warnings.push(message),
      },
      dryRun: false,
      ...more,
    }),
  );
}

describe('the key of a node', () => {
  test('is made when there is none, and kept in both files with narrow modes', () => {
    expect(keep()).toBe(keyText(9));
    expect([read('run/wgkey'), mode('run/wgkey'), mode('run')]).toEqual([keyText(9), '400', '755']);
    expect([read('state/wgkey'), mode('state/wgkey'), mode('state')]).toEqual([keyText(9), '600', '700']);
    expect(fs.readdirSync(at('run'))).toEqual(['wgkey']);
    expect(keep({ random: () => new Uint8Array(32).fill(7) })).toBe(keyText(9));
  });

  test('is flannel’s before the copy, and the copy is made like it', () => {
    write('run/wgkey', `${keyText(1)}\n`);
    write('state/wgkey', keyText(2));
    expect(keep()).toBe(keyText(1));
    expect(read('state/wgkey')).toBe(keyText(1));
    expect(read('run/wgkey')).toBe(`${keyText(1)}\n`);
  });

  test('comes back from the copy after a reboot', () => {
    write('state/wgkey', keyText(2));
    expect(keep()).toBe(keyText(2));
    expect(read('run/wgkey')).toBe(keyText(2));
  });

  test.each(['', '\n'])('an empty file (%j), as a crash leaves it, is as good as none', (text) => {
    write('run/wgkey', text);
    write('state/wgkey', keyText(2));
    expect(keep()).toBe(keyText(2));
    expect(read('run/wgkey')).toBe(keyText(2));
  });

  test('is that of a device, when no file has one', () => {
    expect(keep({ device: parseSecret(keyText(3)) })).toBe(keyText(3));
    expect(read('state/wgkey')).toBe(keyText(3));
  });

  test('is of K3s’s former backend, whose file then goes', () => {
    write('k3s/privatekey', `${keyText(4)}\n`);
    expect(keep({ device: parseSecret(keyText(3)) })).toBe(keyText(4));
    expect(fs.existsSync(at('k3s/privatekey'))).toBe(false);
    expect(warnings[0]).toContain('K3s');
  });

  test('has the bits that the kernel sets, also when the file has them not', () => {
    const raw = Buffer.alloc(32, 0xff).toString('base64');
    write('run/wgkey', raw);
    expect(Buffer.from(keep(), 'base64').toString('hex')).toBe(`f8${'ff'.repeat(30)}7f`);
    expect(read('run/wgkey')).toBe(raw);
  });
});

test('a dry run writes and removes nothing', () => {
  write('k3s/privatekey', keyText(4));
  expect(keep({ dryRun: true })).toBe(keyText(4));
  expect(fs.readdirSync(directory)).toEqual(['k3s']);
  expect(fs.readdirSync(at('k3s'))).toEqual(['privatekey']);
});

describe('a file with anything else in it', () => {
  test.each([
    ['half a key', keyText(1).slice(0, 20)],
    ['hexadecimal', 'ab'.repeat(32)],
    ['two keys', `${keyText(1)}\n${keyText(2)}`],
    ['zeros', Buffer.alloc(32).toString('base64')],
    ['much', 'x'.repeat(100_000)],
  ])('(%s) ends it with a sentence that does not quote it, and nothing is written', (_name, text) => {
    write('run/wgkey', text);
    write('state/wgkey', 'secret words');
    const attempt = () => keep();
    expect(attempt).toThrow(KeyFileError);
    expect(attempt).toThrow(`the WireGuard key file ${at('run/wgkey')} does not hold a key`);
    expect(attempt).toThrow(`the WireGuard key file ${at('state/wgkey')} does not hold a key`);
    expect(attempt).not.toThrow('secret words');
    expect([read('run/wgkey'), read('state/wgkey')]).toEqual([text, 'secret words']);
  });

  test('as a directory is told, and no legacy key goes before its own is kept', () => {
    fs.mkdirSync(at('run/wgkey'), { recursive: true });
    expect(() => keep()).toThrow(`${at('run/wgkey')} cannot be read: it is no regular file`);
    fs.rmSync(at('run'), { recursive: true });
    write('k3s/privatekey', 'not a key');
    expect(keep()).toBe(keyText(9));
    expect(read('k3s/privatekey')).toBe('not a key');
    expect(warnings).toHaveLength(1);
  });

  test('that cannot be written is told; the key serves', () => {
    write('run', 'a file where a directory should be');
    expect(() => keep()).toThrow('cannot be read: ENOTDIR');
    fs.rmSync(at('run'));
    write('state', 'a file');
    fs.rmSync(at('state'));
    fs.symlinkSync('/proc/nothing', at('state'));
    expect(keep()).toBe(keyText(9));
    expect(warnings[0]).toContain(`cannot be kept in ${at('state/wgkey')}`);
  });
});

test('the file is flannel’s unless WIREGUARD_KEY_FILE names another', () => {
  expect(keyFilesOf({}, '/var/lib/flannelette').map((file) => file.path)).toEqual([
    '/run/flannel/wgkey',
    '/var/lib/flannelette/wgkey',
  ]);
});
