import { describe, expect, test } from 'vitest';
import { flannelBackend } from '../../src/daemon/options/flannel-backend.ts';

const old = expect.stringContaining('an old way that K3s has removed');
const wireguard = { Type: 'wireguard', PersistentKeepaliveInterval: 25 };

describe('--flannel-backend', () => {
  test.each([
    ['vxlan', { Type: 'vxlan' }, []],
    ['host-gw', { Type: 'host-gw' }, []],
    ['none', { Type: 'none' }, []],
    ['wireguard-native', wireguard, []],
    ['wireguard', wireguard, [expect.stringContaining('K3s\'s old name, taken as "wireguard-native"')]],
    ['ipsec', { Type: 'ipsec', UDPEncap: true }, [expect.stringContaining('deprecated')]],
    ['wireguard-native=Mode=auto', { ...wireguard, Mode: 'auto' }, [old]],
    ['wireguard-native=ipv6', { ...wireguard, Mode: 'ipv6' }, [old]],
    [
      'wireguard-native=Mode=separate,PersistentKeepaliveInterval=0',
      { ...wireguard, Mode: 'separate', PersistentKeepaliveInterval: 0 },
      [old],
    ],
    ['wireguard=Mode=ipv4', { ...wireguard, Mode: 'ipv4' }, [expect.any(String), old]],
  ])('%s', (text, backend, warnings) => {
    expect(flannelBackend(text)).toMatchObject({ backend, warnings });
  });

  test('says which keys were asked for, and which are only usual', () => {
    expect(flannelBackend('wireguard-native')).toMatchObject({ asked: ['Type'] });
    expect(flannelBackend('wireguard-native=Mode=auto')).toMatchObject({ asked: ['Type', 'Mode'] });
  });

  test.each([
    ['VXLAN', /there is no backend "VXLAN": K3s has vxlan, host-gw, wireguard-native, none/],
    ['ipip', /there is no backend "ipip".*Backend\.Type in net-conf\.json/],
    ['constructor', /there is no backend "constructor"/],
    ['vxlan=VNI=2', /vxlan takes no options here: .*--flannel-conf/],
    ['wireguard-native=', /"" is no option of wireguard-native/],
    [
      'wireguard-native=Mode=both',
      /"Mode=both" is no option of wireguard-native: there are Mode \(separate, /,
    ],
    ['wireguard-native=mode=auto', /"mode=auto" is no option/],
    ['wireguard-native=PersistentKeepaliveInterval=-1', /"PersistentKeepaliveInterval=-1" is no option/],
    ['wireguard-native=Mode=auto,PSK=x', /"PSK=x" is no option/],
  ])('%s is refused', (text, why) => {
    expect(flannelBackend(text)).toMatch(why);
  });
});
