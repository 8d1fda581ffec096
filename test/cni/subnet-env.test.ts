import { describe, expect, test } from 'vitest';
import { parseSubnetEnv } from '../../src/cni/configuration/subnet-env.ts';
import { refusal } from './refusal.ts';

const file = '/run/flannel/subnet.env';
const lines = {
  FLANNEL_NETWORK: '10.244.0.0/16',
  FLANNEL_SUBNET: '10.244.1.1/24',
  FLANNEL_MTU: '1450',
  FLANNEL_IPMASQ: 'true',
};
const parse = (changes: Record<string, string | undefined> = {}) =>
  parseSubnetEnv(
    Object.entries({ ...lines, ...changes })
      .flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}\n`]))
      .join(''),
    file,
  );

describe('the subnet file', () => {
  test('is read, subnets as networks', () => {
    expect(parse()).toEqual({
      networks: ['10.244.0.0/16'],
      ipv6Networks: [],
      subnet: '10.244.1.0/24',
      mtu: 1450,
      ipMasq: true,
    });
  });

  test('may hold both families and several networks', () => {
    expect(
      parse({
        FLANNEL_NETWORK: '10.244.0.0/16,10.245.0.0/16',
        FLANNEL_IPV6_NETWORK: 'fd00:244::/56',
        FLANNEL_IPV6_SUBNET: 'fd00:244:0:1::1/64',
        FLANNEL_IPMASQ: 'false',
      }),
    ).toMatchObject({
      networks: ['10.244.0.0/16', '10.245.0.0/16'],
      ipv6Networks: ['fd00:244::/56'],
      ipv6Subnet: 'fd00:244:0:1::/64',
      ipMasq: false,
    });
  });

  test('may hold IPv6 alone', () => {
    const ipv6 = { FLANNEL_IPV6_NETWORK: 'fd00::/48', FLANNEL_IPV6_SUBNET: 'fd00:0:0:1::1/64' };
    const parsed = parse({ FLANNEL_NETWORK: undefined, FLANNEL_SUBNET: undefined, ...ipv6 });
    expect(parsed).toMatchObject({ networks: [], ipv6Subnet: 'fd00:0:0:1::/64' });
    expect(parsed.subnet).toBeUndefined();
  });

  test('that is not there yet: try again', () => {
    expect(refusal(() => parseSubnetEnv(undefined, file))).toMatchObject({
      code: 11,
      msg: expect.stringContaining(file) as string,
    });
  });

  test.each(['', 'FLANNEL_NETWORK\n', 'nonsense'])('%j is not complete: try again', (text) => {
    const { code, msg } = refusal(() => parseSubnetEnv(text, file));
    expect(code).toBe(11);
    expect(msg).toContain('FLANNEL_NETWORK, FLANNEL_SUBNET, FLANNEL_MTU, FLANNEL_IPMASQ missing');
  });

  test.each(Object.keys(lines))('without %s it is not complete', (key) => {
    expect(refusal(() => parse({ [key]: undefined })).msg).toBe(`${file} is not complete: ${key} missing`);
  });

  test.each([
    ['FLANNEL_NETWORK', '10.244.0.0'],
    ['FLANNEL_SUBNET', 'fd00::1/64'],
    ['FLANNEL_MTU', '-1'],
    ['FLANNEL_MTU', 'big'],
  ])('%s=%s makes no sense', (key, value) => {
    const { code, msg } = refusal(() => parse({ [key]: value }));
    expect(code).toBe(7);
    expect(msg).toMatch(new RegExp(`^${file}: ${key}=${value} is not `));
  });
});
