import { describe, expect, test } from 'vitest';
import { readArgs, readBridge } from '../../src/cni/configuration/bridge.ts';
import type { JsonObject } from '../../src/json/go-json.ts';
import { refusal } from './refusal.ts';

const ipam = { type: 'host-local', ranges: [[{ subnet: '10.244.1.0/24' }]] };
const read = (delegate: JsonObject, args = '', cniVersion = '1.0.0') =>
  readBridge({ name: 'cbr0', type: 'bridge', ipam, ...delegate }, readArgs(args), cniVersion);

describe('a bridge delegate', () => {
  test("has the reference's defaults", () => {
    const { options, ipMasq, ipMasqBackend, mac, dns, ipam: own } = read({});
    expect(options).toEqual({
      bridge: 'cni0',
      isGateway: false,
      isDefaultGateway: false,
      forceAddress: false,
      mtu: 0,
      hairpinMode: false,
      promiscMode: false,
      portIsolation: false,
      enabledad: false,
      vlan: 0,
      vlanTrunk: [],
      preserveDefaultVlan: false,
    });
    expect({ ipMasq, ipMasqBackend, mac, dns }).toEqual({ ipMasq: false });
    expect(own).toMatchObject({ dataDir: '/var/lib/cni/networks', requested: [], routes: [] });
  });

  test('that is the default gateway is a gateway', () => {
    expect(read({ isDefaultGateway: true, isGateway: false }).options.isGateway).toBe(true);
  });

  test('refuses an MTU that IPv6 cannot have, and takes it where there is none', () => {
    const dual = { ...ipam, ranges: [...ipam.ranges, [{ subnet: 'fd00:1::/64' }]] };
    expect(refusal(() => read({ mtu: 1279, ipam: dual }))).toMatchObject({
      code: 7,
      msg: 'the MTU of the pods, 1279, is less than IPv6 needs, which is 1280',
    });
    expect(read({ mtu: 1280, ipam: dual }).options.mtu).toBe(1280);
    expect(read({ mtu: 1279 }).options.mtu).toBe(1279);
  });

  test.each([
    [67, 'is less than a link needs, which is 68'],
    [65536, 'is more than a link can have, which is 65535'],
  ])('refuses an MTU of %d', (mtu, why) => {
    expect(refusal(() => read({ mtu }))).toMatchObject({
      code: 7,
      msg: `the MTU of the pods, ${mtu}, ${why}`,
    });
  });

  test('reads keys in any letter case', () => {
    expect(read({ HAIRPINMODE: true, Bridge: 'pods0' }).options).toMatchObject({
      hairpinMode: true,
      bridge: 'pods0',
    });
  });

  test('takes the MAC of runtimeConfig before that of args, and that before that of CNI_ARGS', () => {
    const runtimeConfig = { mac: '02-00-00-00-00-01' };
    const args = { cni: { mac: '02:00:00:00:00:02' } };
    const cniArgs = 'MAC=02:00:00:00:00:03';
    expect(read({ runtimeConfig, args }, cniArgs).mac).toBe('02:00:00:00:00:01');
    expect(read({ args }, cniArgs).mac).toBe('02:00:00:00:00:02');
    expect(read({}, cniArgs).mac).toBe('02:00:00:00:00:03');
  });

  test('takes the addresses of CNI_ARGS, args and runtimeConfig together', () => {
    const delegate = {
      args: { cni: { ips: ['10.244.1.8/24'] } },
      runtimeConfig: { ips: ['10.244.1.9'] },
    };
    expect(read(delegate, 'IP=10.244.1.7').ipam.requested).toEqual([
      '10.244.1.7',
      '10.244.1.8',
      '10.244.1.9',
    ]);
  });

  test("puts runtimeConfig's ranges first", () => {
    const runtimeConfig = { ipRanges: [[{ subnet: '10.9.0.0/24' }]] };
    const subnets = read({ runtimeConfig }).ipam.sets.map((set) => set[0]?.subnet);
    expect(subnets).toEqual(['10.9.0.0/24', '10.244.1.0/24']);
  });

  test.each([
    [{}, undefined],
    [{ nameservers: [] }, {}],
    [
      { nameservers: ['192.0.2.1'], domain: 'x' },
      { nameservers: ['192.0.2.1'], domain: 'x' },
    ],
  ])('dns %j stands in for that of ipam: %j', (dns, expected) => {
    expect(read({ dns }).dns).toEqual(expected);
  });

  test.each([
    [
      { hairpinMode: true, promiscMode: true },
      'cannot set hairpin mode and promiscuous mode at the same time',
    ],
    [{ disableContainerInterface: true }, 'cannot use IPAM when DisableContainerInterface flag is set'],
    [{ ipMasqBackend: 'ipfw' }, 'unknown ipmasq backend "ipfw"'],
    [{ vlan: 4095 }, 'invalid VLAN ID 4095 (must be between 0 and 4094)'],
    [{ vlan: -100 }, 'invalid VLAN ID -100 (must be between 0 and 4094)'],
    [
      { mtu: '1450' },
      'failed to load netconf: delegate.mtu must be a whole number from 0 to 4294967295, and is "1450"',
    ],
    [{ hairpinMode: 1 }, 'failed to load netconf: delegate.hairpinMode must be true or false, and is 1'],
    [{ bridge: 'a/b' }, /delegate.bridge must be the name of a link/],
    [{ bridge: 'br%d' }, /delegate.bridge must be the name of a link.* and is "br%d": the kernel takes/],
    [{ bridge: 'all' }, /delegate.bridge must be the name of a link.* and is "all": the kernel has/],
    [{ bridge: 'a-name-of-16-byt' }, /delegate.bridge must be the name of a link/],
    [{ runtimeConfig: { mac: '02:00' } }, 'the MAC address that is asked for, "02:00", is none'],
    [{ runtimeConfig: { mac: '01:00:5e:00:00:01' } }, /asked for, "01:00:5e:00:00:01", is no single link's/],
    [{ runtimeConfig: { mac: '00:00:00:00:00:00' } }, /is no single link's/],
    [{ ipam: { ...ipam, dataDir: 5 } }, / ipam\.dataDir must be a string/],
    [{ ipam: { ...ipam, dataDir: 'nets' } }, / ipam\.dataDir must be an absolute path, and is "nets"/],
    [{ ipam: { ...ipam, resolvConf: './r' } }, / ipam\.resolvConf must be an absolute path/],
    [{ ipam: { ranges: [{}] } }, / ipam\.ranges\[0\] must be a list of ranges/],
  ])('%j is refused', (delegate, why) => {
    const { code, msg } = refusal(() => read(delegate));
    expect(code).toBe(7);
    if (typeof why === 'string') expect(msg).toBe(why);
    else expect(msg).toMatch(why);
  });

  test('macspoofchk is a field that is not supported', () => {
    expect(refusal(() => read({ macspoofchk: true })).code).toBe(2);
    expect(read({ macspoofchk: false }).options.bridge).toBe('cni0');
  });

  test('more than one address of a family is too much for 0.2.0', () => {
    const two = { ipam: { ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '10.2.0.0/24' }]] } };
    expect(refusal(() => read(two, '', '0.2.0')).msg).toBe(
      'CNI version 0.2.0 does not support more than 1 address per family',
    );
  });
});

describe('vlanTrunk', () => {
  test.each([
    [[], []],
    [[{ minID: 10, maxID: 12 }], [10, 11, 12]],
    [[{ id: 20 }], [20]],
    [
      [{ id: 11 }, { minID: 10, maxID: 12, id: 9 }],
      [9, 10, 11, 12],
    ],
  ])('%j', (vlanTrunk, ids) => {
    expect(read({ vlanTrunk }).options.vlanTrunk).toEqual(ids);
  });

  test.each([
    [{ minID: 10 }, 'minID and maxID should be configured simultaneously, maxID is missing'],
    [{ maxID: 10 }, 'minID and maxID should be configured simultaneously, minID is missing'],
    [{ minID: -1, maxID: 10 }, 'incorrect trunk minID parameter'],
    [{ minID: 4095, maxID: 4096 }, 'incorrect trunk minID parameter'],
    [{ minID: 1, maxID: 4095 }, 'incorrect trunk maxID parameter'],
    [{ minID: 1, maxID: -2 }, 'incorrect trunk maxID parameter'],
    [{ id: 4095 }, 'incorrect trunk id parameter'],
    [{ id: -1 }, 'incorrect trunk id parameter'],
    [{ minID: 10, maxID: 5 }, 'minID is greater than maxID in trunk parameter'],
  ])('%j is refused', (trunk, msg) => {
    expect(refusal(() => read({ vlanTrunk: [trunk] }))).toEqual({ code: 7, msg });
  });
});
