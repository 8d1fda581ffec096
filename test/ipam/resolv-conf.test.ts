import { describe, expect, test } from 'vitest';
import { parseResolvConf } from '../../src/ipam/resolv-conf.ts';

describe('I17 resolvConf', () => {
  test('simple', () => {
    expect(parseResolvConf('\n\t\tnameserver 192.0.2.0\n\t\tnameserver 192.0.2.1\n\t\t')).toEqual({
      nameservers: ['192.0.2.0', '192.0.2.1'],
    });
  });

  test('comments and lines without a value', () => {
    expect(parseResolvConf('nameserver 192.0.2.0\n;nameserver 192.0.2.1\n# search x\nsearch\r\n')).toEqual({
      nameservers: ['192.0.2.0'],
    });
  });

  test('all fields', () => {
    const text = `
nameserver 192.0.2.0
nameserver 192.0.2.2
domain example.com
;nameserver comment
#nameserver comment
search example.net example.org
search example.gov
options one two three
options four
sortlist 130.155.160.0
`;
    expect(parseResolvConf(text)).toEqual({
      nameservers: ['192.0.2.0', '192.0.2.2'],
      domain: 'example.com',
      search: ['example.net', 'example.org', 'example.gov'],
      options: ['one', 'two', 'three', 'four'],
    });
  });
});
