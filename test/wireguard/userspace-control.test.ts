import { describe, expect, test } from 'vitest';
import { type DeviceChange, WireguardError } from '../../src/wireguard/device.ts';
import { publicKeyFromBytes } from '../../src/wireguard/key.ts';
import { userspaceControl, type UserspaceWorld } from '../../src/wireguard/userspace-control.ts';

const nobody = (code = 'ENOENT') => Object.assign(new Error(code), { code });

/** A world in which `answer` says what the socket answers, or throws. */
function world(
  answer: (path: string, request: string) => string,
  started: Awaited<ReturnType<UserspaceWorld['start']>> = { code: 0, stderr: '' },
) {
  const events: string[] = [];
  const control = userspaceControl({
    exchange: (path, requests) =>
      new Promise((resolve) => {
        resolve(requests.map((request) => answer(path, request)));
      }),
    start: (link) => {
      events.push(`start ${link}`);
      return Promise.resolve(started);
    },
    wait: () => {
      events.push('wait');
      return Promise.resolve();
    },
  });
  return { control, events };
}

const removal = (link: string, n: number): DeviceChange => ({
  link,
  removed: publicKeyFromBytes(new Uint8Array(32).fill(n)),
});

describe('a device by wireguard-go', () => {
  test('is made when a former one of that name has ended', async () => {
    let looks = 0;
    const { control, events } = world(() => {
      if (looks++ < 2) return 'errno=0\n\n';
      throw nobody('ECONNREFUSED');
    });
    await control.make?.('flannel-wg');
    expect(events).toEqual(['wait', 'wait', 'start flannel-wg']);
  });

  test.each([
    [
      { code: -1, stderr: 'ENOENT' },
      'this kernel has no WireGuard (try "modprobe wireguard"), and the program',
    ],
    [
      { code: 1, stderr: 'banner\nFailed to create TUN device: no such file\n' },
      'wireguard-go ends with 1: Failed to create TUN device: no such file',
    ],
  ])('cannot be made: %j', async (started, message) => {
    const { control } = world(() => {
      throw nobody();
    }, started);
    await expect(control.make?.('flannel-wg')).rejects.toThrow(WireguardError);
    await expect(control.make?.('flannel-wg')).rejects.toThrow(message);
  });

  test('is read at its socket, and is not there when nobody listens', async () => {
    const { control } = world((path) => {
      if (path !== '/var/run/wireguard/flannel-wg.sock') throw nobody();
      return 'listen_port=7\nerrno=0\n\n';
    });
    expect(await control.read('flannel-wg')).toMatchObject({ listenPort: 7 });
    expect(await control.read('flannel-wg-v6')).toBeUndefined();
  });

  test('that answers nonsense is an error, not a device without peers', async () => {
    const { control } = world(() => {
      throw nobody('EACCES');
    });
    await expect(control.read('flannel-wg')).rejects.toThrow('EACCES');
  });

  test('is set one thing after the other, and each has its own outcome', async () => {
    const { control } = world((path, request) => {
      if (path.includes('v6')) throw nobody();
      return request.includes('02'.repeat(32)) ? 'errno=-98\n\n' : 'errno=0\n\n';
    });
    const changes = [
      removal('flannel-wg', 1),
      removal('flannel-wg-v6', 1),
      removal('flannel-wg', 2),
      removal('flannel-wg', 3),
    ];
    const outcomes = await control.write(changes);
    expect(outcomes.map((error) => error && [error.code, error.message])).toEqual([
      undefined,
      ['ENOENT', 'no wireguard-go answers for it'],
      ['EADDRINUSE', 'wireguard-go says EADDRINUSE'],
      undefined,
    ]);
  });
});
