import { describe, expect, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';

const binding = loadBinding();

describe('wrong arguments', () => {
  const call = (name: keyof typeof binding, ...args: unknown[]) =>
    Reflect.apply(binding[name], binding, args);
  test.each([
    ['send', ['1', Buffer.alloc(1)], 'argument 1 must be a number'],
    ['send', [1, 'text'], 'argument 2 must be a Uint8Array'],
    ['receive', [1, new Uint16Array(2)], 'argument 2 must be a Uint8Array'],
    ['connectUnix', ['a\0b'], 'argument 1 must be a string without NUL'],
    ['connectUnix', ['a'.repeat(5000)], 'argument 1 must be a string without NUL, shorter than 4096 bytes'],
    ['watch', [1, 'x'], 'argument 2 must be a function'],
    ['sendDescriptors', [1, Buffer.alloc(1), [1, 'x']], 'argument 3 must be an array of at most 253 numbers'],
    ['sendDescriptors', [1, Buffer.alloc(1), {}], 'argument 3 must be an array'],
    ['setOption', [1, 2, 3], 'argument 4 must be a number'],
  ] as const)('$0: $2', (name, args, message) => {
    expect(() => call(name, ...args)).toThrow(TypeError);
    expect(() => call(name, ...args)).toThrow(message);
  });
});
