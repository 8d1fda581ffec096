import { describe, expect, test } from 'vitest';
import { wireguardOptions } from '../../src/backend/wireguard-options.ts';

describe('options', () => {
  test('have flannel’s defaults', () => {
    expect(wireguardOptions({ Type: 'wireguard', PSK: '', MTU: 0, Unknown: 1 })).toEqual({
      mode: 'separate',
      listenPort: 51_820,
      listenPortV6: 51_821,
      mtu: undefined,
      presharedKey: undefined,
      keepalive: 0,
    });
  });

  test.each([
    [
      { Mode: 'IPv4' },
      'Backend.Mode must be "separate", "auto", "ipv4" or "ipv6", in lower case, and is "IPv4"',
    ],
    [{ ListenPort: 0 }, 'Backend.ListenPort must be a whole number from 1 to 65535, and is 0'],
    [{ ListenPortV6: 51_820 }, 'Backend.ListenPort and Backend.ListenPortV6 are both 51820'],
    [
      { MTU: 100 },
      "Backend.MTU must be a whole number from 148 to 65535 (or 0: the interface's), and is 100",
    ],
    [
      { PersistentKeepaliveInterval: -1 },
      'Backend.PersistentKeepaliveInterval must be a whole number from 0 to 65535 seconds, and is -1',
    ],
    [{ PSK: 5, Mode: 1 }, 'and is 1; Backend.PSK must be a string'],
  ])('%j are refused in a sentence', (raw, message) => {
    expect(() => wireguardOptions(raw)).toThrow(message);
  });

  test('a preshared key that is none is not quoted', () => {
    const attempt = () => wireguardOptions({ PSK: 'my secret words' });
    expect(attempt).toThrow('Backend.PSK must be 32 bytes in base64: make one with "wg genpsk"');
    expect(attempt).not.toThrow('my secret');
  });
});
