import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const node = path.resolve('build/bin/flannelette/node');
const keepCode = path.resolve('scripts/building/keep-code.cjs');
const libraries = { LD_LIBRARY_PATH: path.dirname(node) };

describe('a program that start.cjs starts', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'fl-start-'));
    copyFileSync('scripts/building/start.cjs', path.join(directory, 'program.cjs'));
    write(
      "const say = () => 'one'; console.log(say(), require('node:path').basename(__filename), process.argv[2]);",
    );
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const write = (text: string) => writeFileSync(path.join(directory, 'program.js'), text);
  const code = () => path.join(directory, 'program.js.code');
  const run = (...options: string[]) =>
    execFileSync(node, [...options, path.join(directory, 'program.cjs'), 'x'], { env: libraries }).toString();
  const keep = () => run('--require', keepCode);

  test('is run as node would run it, and leaves nothing', () => {
    expect(run()).toBe('one program.js x\n');
    expect(existsSync(code())).toBe(false);
  });

  test('is run with the code that was kept', () => {
    keep();
    expect(refusals(node, path.join(directory, 'program.cjs'))).toBe('false');
    expect(run()).toBe('one program.js x\n');
  });

  test('that has changed since, in one letter, is not what it was', () => {
    keep();
    write(readFileSync(path.join(directory, 'program.js'), 'latin1').replace('one', 'two'));
    expect(refusals(node, path.join(directory, 'program.cjs'))).toBe('undefined');
    expect(run()).toBe('two program.js x\n');
  });

  test.each([
    ['by V8 with other options', (bytes: Buffer) => bytes, ['--no-lazy']],
    ['cut off', (bytes: Buffer) => bytes.subarray(0, -100), []],
    ['cut off within the program', (bytes: Buffer) => bytes.subarray(0, 20), []],
    ['empty', () => Buffer.alloc(0), []],
  ])('does without code that is %s', (_, spoil, options) => {
    keep();
    writeFileSync(code(), spoil(readFileSync(code())));
    expect(run(...options)).toBe('one program.js x\n');
  });
});

test.each(['flannel', 'flanneld', 'cni-tool'])(
  '%s as it was built takes the code that was kept',
  (program) => {
    expect(refusals(path.resolve('build/bin', program))).toBe('false');
  },
);

/** What V8 says of the kept code when a program is started: `false` when it takes it, `undefined` when there is none. */
function refusals(...command: readonly [string, ...string[]]): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'fl-refused-'));
  const spy = path.join(directory, 'spy.cjs');
  const said = path.join(directory, 'said');
  writeFileSync(
    spy,
    `const vm = require('node:vm');
vm.Script = class extends vm.Script {
  constructor(text, options) {
    super(text, options);
    require('node:fs').writeFileSync(${JSON.stringify(said)}, String(this.cachedDataRejected));
  }
};`,
  );
  try {
    const [file, ...args] = command;
    const env = {
      ...libraries,
      NODE_OPTIONS: `--require ${spy}`,
      CNI_COMMAND: 'VERSION',
      FLANNELD_SOCKET: '/none',
    };
    execFileSync(file, [...args, '--help'], { env, input: '{}' });
    return readFileSync(said, 'utf8');
  } finally {
    rmSync(directory, { recursive: true });
  }
}
