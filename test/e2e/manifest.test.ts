import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { daemonImageName } from '../../e2e/lab/daemon-image.ts';
import { optionOf } from '../../src/daemon/options/options.ts';

interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly securityContext: { readonly capabilities: { readonly drop: string[]; readonly add?: string[] } };
}

interface Manifest {
  readonly kind: string;
  readonly data: Record<string, string>;
  readonly rules: unknown;
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly initContainers: Container[];
        readonly containers: Container[];
        readonly terminationGracePeriodSeconds: number;
      };
    };
  };
}

const read = (file: string) => readFileSync(path.resolve(import.meta.dirname, '../..', file), 'utf8');
const objects = parseAllDocuments(read('deploy/kube-flannel.yml')).map((one) => one.toJS() as Manifest);
const of = (kind: string) => objects.find((object) => object.kind === kind) as Manifest;
const { initContainers, containers, terminationGracePeriodSeconds } = of('DaemonSet').spec.template.spec;

test('the manifest installs the shipped list of plugins', () => {
  expect(JSON.parse(of('ConfigMap').data['cni-conf.json'] ?? '')).toEqual(
    JSON.parse(read('conflist/10-flannel.conflist')),
  );
});

test('the manifest runs this version, with options that flanneld knows', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string };
  expect(daemonImageName).toBe(`flannelette:${version}`);
  for (const { image } of [...initContainers, ...containers]) expect(image).toBe(daemonImageName);
  const flags = containers.flatMap(({ args }) => args).map((arg) => arg.replace(/^--|=.*/g, ''));
  expect(flags.filter((flag) => optionOf(flag) === undefined)).toEqual([]);
});

test('the manifest asks for no more than is needed', () => {
  expect(initContainers.map(({ securityContext }) => securityContext.capabilities)).toEqual([
    { drop: ['ALL'] },
  ]);
  expect(containers.map(({ securityContext }) => securityContext.capabilities)).toEqual([
    { drop: ['ALL'], add: ['NET_ADMIN'] },
  ]);
  expect(of('ClusterRole').rules).toEqual([
    { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
  ]);
});

test('the manifest gives a stop the time that commands of the extension backend may take', () => {
  // An add, the remove that takes it back, and ShutdownCommand.
  expect(terminationGracePeriodSeconds).toBeGreaterThan(3 * 30);
});
