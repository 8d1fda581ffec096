import { describe, expect, test } from 'vitest';
import { parseCniArgs } from '../../src/cni/configuration/cni-args.ts';

describe('CNI_ARGS', () => {
  test.each([
    ['', {}],
    ['IP=10.244.1.7', { ip: '10.244.1.7' }],
    ['IP=10.244.1.7;MAC=02:00:00:00:00:01', { ip: '10.244.1.7', mac: '02:00:00:00:00:01' }],
    ['IgnoreUnknown=1;K8S_POD_NAME=x;IP=', {}],
    ['K8S_POD_NAME=x;IgnoreUnknown=TRUE', {}],
  ])('%j', (text, args) => {
    expect(parseCniArgs(text)).toEqual(args);
  });

  test.each([
    ['A=B', 'ARGS: unknown args ["A=B"]'],
    ['A=B;IgnoreUnknown=0;C=D', 'ARGS: unknown args ["A=B" "C=D"]'],
    ['ip=10.0.0.1', 'ARGS: unknown args ["ip=10.0.0.1"]'],
    ['IgnoreUnknown=1;', 'ARGS: invalid pair ""'],
    ['IgnoreUnknown=1;A=B=C', 'ARGS: invalid pair "A=B=C"'],
    ['A', 'ARGS: invalid pair "A"'],
    [
      'IgnoreUnknown=perhaps;A=B',
      'ARGS: error parsing value of pair "IgnoreUnknown=perhaps": boolean unmarshal error: invalid input perhaps',
    ],
  ])('%j is refused', (text, message) => {
    expect(() => parseCniArgs(text)).toThrow(message);
  });
});
