import { describe, expect, test } from 'vitest';
import { readRequest } from '../../src/cni/request.ts';
import { refusal } from './refusal.ts';

const environment = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/c1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
};

function read(stdin: string | Buffer, CNI_COMMAND = 'ADD') {
  const request = { environment: { ...environment, CNI_COMMAND }, stdin: Buffer.from(stdin) };
  return readRequest(request, () => {});
}

describe('a request', () => {
  test('has name, version and document', () => {
    expect(read('{"name":"cbr0","cniVersion":"1.0.0","x":1}')).toMatchObject({
      name: 'cbr0',
      cniVersion: '1.0.0',
      document: { x: 1 },
    });
  });

  test('may write its keys in any letter case', () => {
    expect(read('{"NAME":"cbr0","CNIVersion":"0.4.0"}')).toMatchObject({ name: 'cbr0', cniVersion: '0.4.0' });
  });

  test.each(['{"name":"cbr0"}', '{"name":"cbr0","cniVersion":""}', '{"name":"cbr0","cniVersion":null}'])(
    '%s is in version 0.1.0',
    (stdin) => {
      expect(read(stdin).cniVersion).toBe('0.1.0');
    },
  );

  test.each([
    ['', /is not JSON|is empty/],
    ['{', /not JSON/],
    ['[]', /must be an object/],
    ['null', /must be an object/],
    ['"text"', /must be an object/],
    ['{"name":5}', /name must be a string/],
    ['{"name":"cbr0","cniVersion":1}', /cniVersion must be a string/],
    ['['.repeat(100_000), /deep/],
    [`{"name":"cbr0","x":${'['.repeat(5000)}${']'.repeat(5000)}}`, /deep/],
    [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), /UTF-8/],
    [`{"name":"cbr0","x":"${'x'.repeat(10 << 20)}"}`, /long|bytes|allowed/],
  ])('that cannot be decoded says why (%#)', (stdin, why) => {
    const { code, msg } = refusal(() => read(stdin));
    expect(code).toBe(6);
    expect(msg).toMatch(/^error unmarshall network config: /);
    expect(msg).toMatch(why);
    expect(msg.length).toBeLessThan(300);
  });

  test('needs a name', () => {
    expect(refusal(() => read('{}'))).toEqual({ code: 7, msg: 'missing network name' });
  });

  test.each(['../x', 'a/b', '-a', 'a b'])('may not be named %j', (name) => {
    expect(refusal(() => read(JSON.stringify({ name })))).toEqual({
      code: 7,
      msg: 'invalid characters found in network name',
      details: name,
    });
  });

  test('in an unknown version is refused with the known ones', () => {
    expect(refusal(() => read('{"name":"cbr0","cniVersion":"1.2.0"}'))).toEqual({
      code: 1,
      msg: 'incompatible CNI versions',
      details: 'config is "1.2.0", plugin supports ["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]',
    });
  });

  test.each([
    ['CHECK', '0.3.1', '0.4.0'],
    ['GC', '1.0.0', '1.1.0'],
    ['STATUS', '1.0.0', '1.1.0'],
  ])('%s is not for %s, and is for %s', (verb, old, since) => {
    const stdin = (cniVersion: string) => JSON.stringify({ name: 'cbr0', cniVersion });
    expect(refusal(() => read(stdin(old), verb))).toMatchObject({
      code: 1,
      msg: `config version does not allow ${verb}`,
    });
    expect(read(stdin(since), verb).cniVersion).toBe(since);
  });

  test('tells its version before the rest is judged', () => {
    const seen: string[] = [];
    const stdin = Buffer.from('{"cniVersion":"0.4.0"}');
    refusal(() => readRequest({ environment, stdin }, (version) => seen.push(version)));
    expect(seen).toEqual(['0.4.0']);
  });
});
