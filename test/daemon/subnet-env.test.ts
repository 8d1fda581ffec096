import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { previousSubnets, subnetEnvText, writeSubnetEnv } from '../../src/daemon/files/subnet-env.ts';
import { prefix } from '../../src/net/prefix.ts';

const v4 = { network: prefix('10.244.0.0/16'), subnet: prefix('10.244.1.1/24') };
const v6 = { ipv6Network: prefix('2001:cafe:42::/56'), ipv6Subnet: prefix('2001:cafe:42::1/64') };

describe('subnet.env', () => {
  test.each([
    [
      'IPv4',
      { ...v4, mtu: 1450, ipMasq: true },
      'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n',
    ],
    [
      'dual stack',
      { ...v4, ...v6, mtu: 1450, ipMasq: false },
      'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_IPV6_NETWORK=2001:cafe:42::/56\n' +
        'FLANNEL_IPV6_SUBNET=2001:cafe:42::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n',
    ],
    [
      'IPv6',
      { ...v6, mtu: 8950, ipMasq: false },
      'FLANNEL_IPV6_NETWORK=2001:cafe:42::/56\nFLANNEL_IPV6_SUBNET=2001:cafe:42::1/64\nFLANNEL_MTU=8950\nFLANNEL_IPMASQ=false\n',
    ],
  ])('%s, byte for byte', (_name, env, text) => {
    expect(subnetEnvText(env)).toBe(text);
  });

  test.each([
    ['', {}],
    ['FLANNEL_SUBNET=10.244.1.1/24\n', { subnet: '10.244.1.0/24' }],
    ['FLANNEL_SUBNET="10.244.1.1/24"\r\n', { subnet: '10.244.1.0/24' }],
    ['FLANNEL_IPV6_SUBNET=2001:CAFE:42::1/64', { ipv6Subnet: '2001:cafe:42::/64' }],
    ['FLANNEL_SUBNET=10.244.1.1/24,10.245.1.1/24\n', {}],
    ['FLANNEL_SUBNET=fd00::1/64\nFLANNEL_IPV6_SUBNET=10.0.0.1/24\n', {}],
    ['# FLANNEL_SUBNET=10.244.1.1/24\nNO_FLANNEL_SUBNET=10.244.1.1/24\n', {}],
    ['FLANNEL_SUBNET=\nFLANNEL_MTU=1', {}],
  ])('an earlier one is read: %j', (text, subnets) => {
    expect(previousSubnets(text)).toEqual(subnets);
  });
});

describe('its file', () => {
  let scratch: string;
  const env = { ...v4, mtu: 1450, ipMasq: false };

  beforeEach(() => {
    scratch = mkdtempSync(path.join(tmpdir(), 'subnet-env-'));
  });
  afterEach(() => {
    rmSync(scratch, { recursive: true, force: true });
  });

  test('is whole, 0644, in a directory that is made with 0755', () => {
    const file = path.join(scratch, 'flannel', 'subnet.env');
    writeSubnetEnv(file, env);
    expect(readFileSync(file, 'utf8')).toBe(subnetEnvText(env));
    expect(statSync(file).mode & 0o7777).toBe(0o644);
    expect(statSync(path.dirname(file)).mode & 0o7777).toBe(0o755);
  });

  test('replaces an older one with any mode, and leaves no other file', () => {
    const file = path.join(scratch, 'subnet.env');
    writeSubnetEnv(file, env);
    chmodSync(file, 0o600);
    writeSubnetEnv(file, { ...env, mtu: 1400 });
    expect(readFileSync(file, 'utf8')).toContain('FLANNEL_MTU=1400\n');
    expect(statSync(file).mode & 0o7777).toBe(0o644);
    expect(readdirSync(scratch)).toEqual(['subnet.env']);
  });

  test('leaves a directory in its place alone, and nothing beside it', () => {
    const file = path.join(scratch, 'subnet.env');
    mkdirSync(path.join(file, 'x'), { recursive: true });
    expect(() => writeSubnetEnv(file, env)).toThrow();
    expect(readdirSync(scratch)).toEqual(['subnet.env']);
  });
});
