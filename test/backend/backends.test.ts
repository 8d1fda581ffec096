import { describe, expect, test } from 'vitest';
import { makeBackend } from '../../src/backend/backends.ts';
import { BackendError } from '../../src/backend/error.ts';
import { prefix } from '../../src/net/prefix.ts';
import { vxlanOptions } from '../../src/backend/vxlan-options.ts';

const network = { ipv4: prefix('10.244.0.0/16') };

describe('the backend of a configuration', () => {
  test('is made by its name, with keys in any letter case', () => {
    const backend = makeBackend('vxlan', {
      options: { type: 'vxlan', vni: 5, directrouting: true },
      network,
    });
    expect(backend.type).toBe('vxlan');
    expect(backend.links).toEqual(['flannel.5']);
    expect(makeBackend('host-gw', { options: {}, network }).type).toBe('host-gw');
    expect(makeBackend('ipip', { options: { DIRECTROUTING: true }, network }).type).toBe('ipip');
    // Go flannel publishes an empty type.
    expect(makeBackend('alloc', { options: {}, network }).type).toBe('');
  });

  test.each([
    ['udp', {}, 'net-conf.json: Backend is missing, which means "udp": it would copy every packet'],
    ['udp', { Type: 'udp' }, 'net-conf.json: Backend.Type is "udp": it would copy every packet'],
    [
      'ipsec',
      { Type: 'ipsec' },
      'Backend.Type is "ipsec": this version of Flannelette does not have it yet; use "wireguard"',
    ],
    [
      'vlan',
      { Type: 'vlan' },
      'Backend.Type is "vlan": there is no such backend; use one of: vxlan, host-gw',
    ],
    ['ipip', { DirectRouting: 'yes' }, 'Backend.DirectRouting must be true or false, and is "yes"'],
    ['extension', { SubnetAddCommand: ['ip'] }, 'Backend.SubnetAddCommand must be'],
    ['tencent-vpc', { Type: 'tencent-vpc' }, 'it is for that cloud alone'],
    ['constructor', { Type: 'constructor' }, 'there is no such backend'],
  ])('%s %j is refused', (type, options, message) => {
    expect(() => makeBackend(type, { options, network })).toThrow(message);
    expect(() => makeBackend(type, { options, network })).toThrow(BackendError);
  });
});

describe('vxlan’s options', () => {
  test('have flannel’s defaults', () => {
    expect(vxlanOptions({ Type: 'vxlan', Unknown: 1 })).toEqual({
      vni: 1,
      port: 8472,
      mtu: undefined,
      learning: false,
      gbp: false,
      directRouting: false,
    });
    expect(vxlanOptions({ Port: 0, MTU: 0 })).toMatchObject({ port: 8472, mtu: undefined });
    expect(vxlanOptions({ VNI: 16_777_215, Port: 65_535, MTU: 1400 })).toMatchObject({ vni: 16_777_215 });
  });

  test.each([
    [{ VNI: 0 }, 'net-conf.json: Backend.VNI must be a whole number from 1 to 16777215, and is 0'],
    [{ VNI: 16_777_216 }, 'from 1 to 16777215, and is 16777216'],
    [{ VNI: 1.5 }, 'and is 1.5'],
    [{ VNI: '1' }, 'Backend.VNI must be a whole number from 1 to 16777215, and is "1"'],
    [{ Port: 65_536 }, 'Backend.Port must be a whole number from 1 to 65535 (or 0: 8472), and is 65536'],
    [{ Port: -1 }, 'and is -1'],
    [
      { MTU: 100 },
      "Backend.MTU must be a whole number from 118 to 65535 (or 0: the interface's), and is 100",
    ],
    [{ Learning: 'yes' }, 'Backend.Learning must be true or false, and is "yes"'],
    [
      { GBP: 1, DirectRouting: 0 },
      'Backend.GBP must be true or false, and is 1; Backend.DirectRouting must be',
    ],
  ])('%j are refused in a sentence', (raw, message) => {
    expect(() => vxlanOptions(raw)).toThrow(message);
    expect(() => vxlanOptions(raw)).toThrow(BackendError);
  });
});
