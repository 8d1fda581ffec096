import { expect, test } from 'vitest';
import { annotationKeys } from '../../../src/lease/kubernetes/annotations.ts';

test.each([
  ['flannel.alpha.coreos.com', 'flannel.alpha.coreos.com/backend-type'],
  ['flannel.alpha.coreos.com/', 'flannel.alpha.coreos.com/backend-type'],
  ['x.com/p', 'x.com/p-backend-type'],
  ['x.com/p-', 'x.com/p-backend-type'],
  ['x.com/p_1-q', 'x.com/p_1-q-backend-type'],
  ['1.x-y.com', '1.x-y.com/backend-type'],
])('the prefix %s makes %s', (prefix, key) => {
  expect(annotationKeys(prefix).backendType).toBe(key);
});

test.each([
  'org',
  'org/p',
  'X.com',
  'x.com/P',
  'a.b/c/d',
  '',
  '/',
  '.com',
  'x..com',
  '-x.com',
  'x.com/p q',
  'x.com/p.q',
])('the prefix "%s" is refused', (prefix) => {
  expect(() => annotationKeys(prefix)).toThrow(`--kube-annotation-prefix=${prefix} is no prefix`);
});
