import { describe, expect, test } from 'vitest';
import { extension, type Given, givenNode, givenPeer, nextStep } from '../../src/backend/extension.ts';
import { extensionOptions } from '../../src/backend/extension-options.ts';
import { external, peer, self } from './nodes.ts';

const dual = { ipv4: true, ipv6: true };
const backend = extension(dual);
const as = { backendType: 'extension', backendData: 'hello' };

describe('extension', () => {
  test('wants nothing of the kernel, and takes the interface’s MTU', () => {
    expect(backend.planNode(self)).toEqual([]);
    expect(backend.planPeer(self, peer(2, as))).toEqual([]);
    expect(backend.mtu(external)).toBe(1500);
  });

  test.each([
    [{ backendType: 'vxlan' }, 'its backend is "vxlan", and this node\'s is "extension"'],
    [{ ...as, backendData: { VNI: 1 } }, 'its backend-data is no string'],
    [{ ...as, backendData: 'a\0b' }, 'its backend-data has a NUL in it'],
  ])('refuses a peer with %j', (attributes, reason) => {
    expect(() => backend.planPeer(self, peer(2, attributes))).toThrow(reason);
  });

  test('gives commands what Go flannel gives, and IPv6', () => {
    expect(givenPeer(peer(2, as).lease)).toEqual({
      environment: {
        SUBNET: '10.244.2.0/24',
        PUBLIC_IP: '192.0.2.2',
        IPV6SUBNET: 'fd00:10:244:2::/64',
        PUBLIC_IPV6: '2001:db8::2',
      },
      input: 'hello\n',
    });
    expect(givenPeer(peer(2, { ...as, backendData: undefined }).lease).input).toBe('\n');
    const { environment } = givenNode({ ipv4: '10.244.0.0/16' as never }, peer(1, as).lease);
    expect(Object.keys(environment)).toEqual(['NETWORK', 'SUBNET', 'IPV6SUBNET', 'PUBLIC_IP', 'PUBLIC_IPV6']);
  });

  test('has no commands by default, and takes strings alone', () => {
    expect(Object.values(extensionOptions({ SubnetAddCommand: '  ' }))).toEqual(['', '', '', '', '']);
    expect(() => extensionOptions({ SubnetAddCommand: 7, ShutdownCommand: ['x'] })).toThrow(
      /Backend\.ShutdownCommand must be a string, .*; Backend\.SubnetAddCommand must be a string/,
    );
  });
});

describe('the next step', () => {
  const given = (input: string): Given => ({ environment: {}, input });
  const all = { complete: true, mayTry: () => true };
  const [a, b] = [given('a'), given('b')];

  test.each<[string, [string, Given][], [string, Given][], unknown]>([
    ['nothing', [], [], undefined],
    ['nothing when all are there', [['1', a]], [['1', a]], undefined],
    ['add who came', [], [['1', a]], { does: 'add', id: '1', given: a }],
    ['remove who went', [['1', a]], [], { does: 'remove', id: '1', given: a }],
    ['remove who changed, as it was', [['1', a]], [['1', b]], { does: 'remove', id: '1', given: a }],
    // Two nodes may have had the same subnet, one after the other.
    ['remove before it adds', [['1', a]], [['2', a]], { does: 'remove', id: '1', given: a }],
  ])('is to %s', (_what, added, wanted, step) => {
    expect(nextStep(new Map(added), new Map(wanted), all)).toEqual(step);
  });

  test('removes nobody while not all are known, but one that has changed', () => {
    const some = { ...all, complete: false };
    expect(nextStep(new Map([['1', a]]), new Map(), some)).toBeUndefined();
    expect(nextStep(new Map([['1', a]]), new Map([['1', b]]), some)).toMatchObject({ does: 'remove' });
  });

  test('passes over those that must wait', () => {
    const wanted = new Map([
      ['1', a],
      ['2', b],
    ]);
    expect(nextStep(new Map(), wanted, { ...all, mayTry: (id) => id !== '1' })).toMatchObject({ id: '2' });
  });
});
