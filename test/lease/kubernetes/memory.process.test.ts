import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { annotationKeys, defaultPrefix } from '../../../src/lease/kubernetes/annotations.ts';
import { FakeApiServer } from './api-server.ts';

test('1,000 Nodes of 15 kB take less than 2 MB of the daemon', async () => {
  const keys = annotationKeys(defaultPrefix);
  const server = new FakeApiServer();
  server.images = 40;
  for (let i = 0; i < 1000; i++) {
    server.addNode(`node-${i}`, [`10.${i >> 8}.${i & 255}.0/24`], {
      [keys.managed]: 'true',
      [keys.backendType]: 'vxlan',
      [keys.backendData]: `{"VNI":1,"VtepMAC":"12:c6:65:89:${hex(i >> 8)}:${hex(i & 255)}"}`,
      [keys.publicIP]: `192.0.${i >> 8}.${i & 255}`,
    });
  }
  expect(JSON.stringify(server.nodes.get('node-7')).length).toBeGreaterThan(14_000);
  await server.start();
  onTestFinished(() => server.stop());
  let number = 0;
  const changing = setInterval(() => {
    if (server.watching === 0) return;
    const publicIP = `198.51.100.${++number % 250}`;
    server.change(
      `node-${number % 1000}`,
      ({ metadata }) => (metadata.annotations[keys.publicIP] = publicIP),
    );
  }, 2);
  onTestFinished(() => clearInterval(changing));
  const probe = [path.join(import.meta.dirname, 'memory-probe.ts'), server.url];
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', ...probe]);
  const { nodes, bytes } = JSON.parse(stdout) as { nodes: number; bytes: number };
  expect(nodes).toBe(1000);
  expect(bytes).toBeLessThan(2_000_000);
});

const hex = (byte: number): string => byte.toString(16).padStart(2, '0');
