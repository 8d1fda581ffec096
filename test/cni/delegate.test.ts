import { describe, expect, test } from 'vitest';
import { readNetConf } from '../../src/cni/configuration/net-conf.ts';
import { delegateOf, delegateText } from '../../src/cni/configuration/delegate.ts';
import type { SubnetEnv } from '../../src/cni/configuration/subnet-env.ts';
import { asObject, type JsonObject, parseJson } from '../../src/json/go-json.ts';
import { prefix } from '../../src/net/prefix.ts';
import { refusal } from './refusal.ts';

const ipv4: SubnetEnv = {
  networks: [prefix('10.244.0.0/16')],
  ipv6Networks: [],
  subnet: prefix('10.244.1.0/24'),
  mtu: 1450,
  ipMasq: true,
};
const dual: SubnetEnv = {
  ...ipv4,
  networks: [prefix('10.244.0.0/16'), prefix('10.245.0.0/16')],
  ipv6Networks: [prefix('fd00:244::/56')],
  ipv6Subnet: prefix('fd00:244:0:1::/64'),
};
const make = (document: JsonObject, env: SubnetEnv = ipv4, cniVersion = '0.3.1') =>
  delegateText(delegateOf(readNetConf(document, 'cbr0', cniVersion), env));

describe('the delegate', () => {
  test("of flannel's own conflist is byte for byte what Go's flannel makes", () => {
    expect(make({ delegate: { hairpinMode: true, isDefaultGateway: true } })).toBe(
      '{"cniVersion":"0.3.1","hairpinMode":true,"ipMasq":false,"ipam":{"ranges":[[{"subnet":"10.244.1.0/24"}]],' +
        '"routes":[{"dst":"10.244.0.0/16"}],"type":"host-local"},"isDefaultGateway":true,"isGateway":true,' +
        '"mtu":1450,"name":"cbr0","type":"bridge"}',
    );
  });

  test.each(['subnetFile', 'dataDir'])(
    '%s must be absolute, for the plugin and for flanneld alike',
    (key) => {
      expect(refusal(() => make({ [key]: 'flannel/x' }))).toEqual({
        code: 7,
        msg: `failed to load netconf: ${key} must be an absolute path, and is "flannel/x"`,
      });
    },
  );

  test("of K3s' conflist keeps forceAddress", () => {
    const delegate = { hairpinMode: true, forceAddress: true, isDefaultGateway: true };
    expect(JSON.parse(make({ delegate }, dual, '1.0.0'))).toEqual({
      cniVersion: '1.0.0',
      forceAddress: true,
      hairpinMode: true,
      ipMasq: false,
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: '10.244.1.0/24' }], [{ subnet: 'fd00:244:0:1::/64' }]],
        routes: [{ dst: '10.244.0.0/16' }, { dst: '10.245.0.0/16' }, { dst: 'fd00:244::/56' }],
      },
      isDefaultGateway: true,
      isGateway: true,
      mtu: 1450,
      name: 'cbr0',
      type: 'bridge',
    });
  });

  test('has what the configuration says in place of the defaults', () => {
    const delegate = { type: 'bridge', ipMasq: true, mtu: 1300, isGateway: false };
    expect(JSON.parse(make({ delegate }))).toMatchObject(delegate);
  });

  test('of another type is no gateway by default', () => {
    expect(JSON.parse(make({ delegate: { type: 'ptp' } }))).not.toHaveProperty('isGateway');
  });

  test('masquerades when flanneld does not', () => {
    expect(JSON.parse(make({}, { ...ipv4, ipMasq: false }))).toHaveProperty('ipMasq', true);
  });

  test("keeps ipam's keys, but not its ranges; its routes come first", () => {
    const ipam = {
      resolvConf: '/etc/x',
      ranges: [[{ subnet: '192.0.2.0/24' }]],
      routes: [{ dst: '172.16.0.0/12', gw: '10.244.1.9', mtu: 1300, scope: 0, priority: 7 }],
    };
    expect((JSON.parse(make({ ipam })) as { ipam: unknown }).ipam).toEqual({
      type: 'host-local',
      resolvConf: '/etc/x',
      ranges: [[{ subnet: '10.244.1.0/24' }]],
      routes: [
        { dst: '172.16.0.0/12', gw: '10.244.1.9', mtu: 1300, scope: 0, priority: 7 },
        { dst: '10.244.0.0/16' },
      ],
    });
  });

  test('is given runtimeConfig and args', () => {
    const given = { runtimeConfig: { mac: '02:00:00:00:00:01' }, args: { cni: { ips: ['10.244.1.7'] } } };
    expect(JSON.parse(make(given))).toMatchObject(given);
  });

  test('is asked for in any letter case, and null is nothing', () => {
    const document = { Delegate: { IPMasq: true, mtu: null, Type: 'bridge' }, IPAM: null };
    expect(JSON.parse(make(document))).toMatchObject({ ipMasq: true, mtu: 1450, type: 'bridge' });
  });

  test('has numbers with a fraction or an exponent as Go writes them', () => {
    const delegate = asObject(parseJson('{"x":[1e3,2.50],"mtu":1400.0}', 'it'), 'it');
    expect(JSON.parse(make({ delegate }))).toMatchObject({ x: [1000, 2.5], mtu: 1400 });
  });

  test("escapes what Go's encoder escapes", () => {
    const text = make({ delegate: { x: '<&>\u2028\u2029' } });
    expect(text).toContain(String.raw`"x":"\u003c\u0026\u003e\u2028\u2029"`);
  });

  test.each([
    [{ delegate: { type: 5 } }, /delegate.type must be a string/],
    [{ delegate: { name: 'x' } }, /delegate.name must not be there/],
    [{ delegate: { ipam: {} } }, /delegate.ipam must not be there/],
    [{ delegate: 'bridge' }, /delegate must be an object, and is a string/],
    [{ ipam: [] }, /ipam must be an object, and is an array/],
    [
      { ipam: { routes: [{ dst: '10.0.0.0' }] } },
      /ipam.routes\[0\].dst must be a CIDR address, and is "10.0.0.0"/,
    ],
    [{ ipam: { routes: [{ dst: '10.0.0.0/8', gw: 'x' }] } }, /ipam.routes\[0\].gw must be an IP address/],
    [{ subnetFile: 5 }, /subnetFile must be a string, and is 5/],
  ])('%j is refused', (document, why) => {
    const { code, msg } = refusal(() => make(document));
    expect(code).toBe(7);
    expect(msg).toMatch(why);
  });
});
