import { isIP } from 'node:net';
import fc from 'fast-check';
import { IPv4, IPv6 } from 'ip-num';
import { describe, expect, test } from 'vitest';
import {
  address,
  addressBytes,
  addressFromBytes,
  addressFromInteger,
  addressToInteger,
  isGlobalUnicast,
  isLinkLocalUnicast,
  parseAddress,
} from '../../src/net/address.ts';

const bytes6 = fc.uint8Array({ minLength: 16, maxLength: 16 });
const bytes4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
/** Nearly addresses: what a parser that is not strict would take. */
const nearly = fc
  .array(
    fc.constantFrom('0', '1', '9', '00', '255', '256', 'f', 'ffff', 'fffff', ':', '::', '.', '%', '/', ' '),
    {
      maxLength: 12,
    },
  )
  .map((parts) => parts.join(''));

describe('an address', () => {
  test('is accepted just where Node accepts it', () => {
    fc.assert(
      fc.property(fc.oneof(nearly, fc.ipV4(), fc.ipV6()), (text) => {
        const zone = text.includes('%');
        expect(parseAddress(text) !== undefined).toBe(!zone && isIP(text) !== 0);
      }),
      { numRuns: 3000 },
    );
  });

  test('is written as a URL writes it (RFC 5952)', () => {
    fc.assert(
      fc.property(bytes6, (bytes) => {
        const text = addressFromBytes(bytes);
        fc.pre(text.includes(':'));
        expect(`[${text}]`).toBe(new URL(`http://[${text}]/`).hostname);
        expect(addressBytes(text)).toEqual(bytes);
      }),
      { numRuns: 1000 },
    );
  });

  test('is the number that ip-num takes it for', () => {
    fc.assert(
      fc.property(bytes6, bytes4, (six, four) => {
        const [v6, v4] = [addressFromBytes(six), addressFromBytes(four)];
        fc.pre(v6.includes(':'));
        expect(addressToInteger(v6)).toBe(new IPv6(v6).getValue());
        expect(addressToInteger(v4)).toBe(new IPv4(v4).getValue());
        expect(addressFromInteger(addressToInteger(v6), 6)).toBe(v6);
      }),
      { numRuns: 300 },
    );
  });

  test.each(['010.0.0.1', '10.0.1', '0x0a.0.0.1', '1.2.3.4 ', 'fe80::1%eth0', '::1::', '', '1.2.3.4/24'])(
    'is not %j',
    (text) => {
      expect(parseAddress(text)).toBeUndefined();
    },
  );

  test('mapped is IPv4, as Go prints it', () => {
    expect(parseAddress('::ffff:10.1.2.3')).toBe('10.1.2.3');
  });

  test('knows what it is good for', () => {
    expect(['10.0.0.1', 'fd00::1'].map((text) => isGlobalUnicast(address(text)))).toEqual([true, true]);
    expect(['127.0.0.1', '224.0.0.1', '::', 'fe80::1'].map((text) => isGlobalUnicast(address(text)))).toEqual(
      [false, false, false, false],
    );
    expect(['169.254.1.1', 'febf::1', 'fec0::1'].map((text) => isLinkLocalUnicast(address(text)))).toEqual([
      true,
      true,
      false,
    ]);
  });
});
