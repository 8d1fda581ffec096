import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { address } from '../../src/net/address.ts';
import { endpointOf, endpointParts, parseEndpoint } from '../../src/wireguard/endpoint.ts';
import { parsePublicKey, parseSecret, privateKeyOf, publicKeyOf, Secret } from '../../src/wireguard/key.ts';

describe('a key', () => {
  test('public, of a private one: RFC 7748, section 6.1', () => {
    const alice = Buffer.from('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a', 'hex');
    const key = publicKeyOf(new Secret(alice));
    expect(Buffer.from(key, 'base64').toString('hex')).toBe(
      '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a',
    );
    // What the kernel keeps of it is the same key.
    expect(publicKeyOf(privateKeyOf(new Secret(alice)))).toBe(key);
  });

  test.each([
    '',
    'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
    'hQ8AmJMKdUdIt93LQ+91oNv/Og0mOBr066SpjqqbTmo',
    ' hQ8AmJMKdUdIt93LQ+91oNv/Og0mOBr066SpjqqbTmo=',
    'hQ8AmJMKdUdIt93LQ-91oNv_Og0mOBr066SpjqqbTmo=',
    'hQ8AmJMKdUdIt93LQ+91oNv/Og0mOBr066SpjqqbTmp=',
    'a2V5',
  ])('%j is none', (text) => {
    expect(parsePublicKey(text)).toBeUndefined();
    expect(parseSecret(text)).toBeUndefined();
  });

  test('that is secret is shown by nobody', () => {
    const secret = new Secret(new Uint8Array(32).fill(7));
    const shown = [inspect(secret, { showHidden: true }), JSON.stringify({ secret })];
    for (const text of shown) expect(text).not.toMatch(/7|BwcH/);
    expect(secret.equals(new Secret(secret.reveal()))).toBe(true);
    expect(secret.equals(undefined)).toBe(false);
    expect(() => new Secret(new Uint8Array(31))).toThrow(RangeError);
  });
});

describe('an endpoint', () => {
  test.each([
    ['192.0.2.1', 51_820, '192.0.2.1:51820'],
    ['2001:db8::1', 1, '[2001:db8::1]:1'],
  ])('%s %d is %s, and back', (text, port, shown) => {
    const endpoint = endpointOf(address(text), port);
    expect(endpoint).toBe(shown);
    expect(endpointParts(endpoint)).toEqual({ address: text, port });
    expect(parseEndpoint(shown)).toBe(endpoint);
  });

  test.each(['', 'host:1', '192.0.2.1', '192.0.2.1:70000', '2001:db8::1:80', '[fe80::1%eth0]:51820'])(
    '%j is none',
    (text) => expect(parseEndpoint(text)).toBeUndefined(),
  );
});
