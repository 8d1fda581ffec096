import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect } from 'vitest';
import { loadBinding } from '../../native/binding.ts';

const binding = loadBinding();

/** A directory while the tests of a file run, and what is done with the addon there. */
export function bindingScene() {
  const directory = mkdtempSync(path.join(tmpdir(), 'fl-binding-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  /** Both ends of a unix connection. */
  function connection(name: string): { here: number; there: number; close: () => void } {
    const socket = path.join(directory, name);
    const listener = binding.listenUnix(socket, 0o600);
    const here = binding.connectUnix(socket);
    const there = binding.acceptUnix(listener);
    expect(Math.min(listener, here, there)).toBeGreaterThan(2);
    binding.close(listener);
    return { here, there, close: () => [here, there].forEach((fd) => binding.close(fd)) };
  }

  /** Runs a program that has `binding` in a process of its own. */
  function runScript(script: string): Promise<{ status: number | string; stdout: string; stderr: string }> {
    const file = path.join(directory, `script-${Math.random()}.mts`);
    const from = path.resolve('native/binding.ts');
    writeFileSync(
      file,
      `import { loadBinding } from ${JSON.stringify(from)};\nconst binding = loadBinding();\n${script}`,
    );
    return new Promise((resolve) => {
      execFile(process.execPath, [file], { timeout: 20_000 }, (error, stdout, stderr) => {
        resolve({ status: error === null ? 0 : (error.code ?? error.signal ?? 'unknown'), stdout, stderr });
      });
    });
  }

  return { directory, connection, runScript };
}
