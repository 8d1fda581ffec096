import { expect, test } from 'vitest';
import { type Attaching, attach } from '../../src/cni/verbs/attach.ts';
import { mac } from '../../src/net/mac.ts';
import { NetlinkError } from '../../src/netlink/error.ts';
import { silentLog } from '../../src/world/log.ts';

const EMFILE = 24;

/** Everything is done, and then the kernel does not say which index the pod's link has. */
function attachBlindly(enabledad: boolean) {
  const told: string[] = [];
  const log = { ...silentLog, warn: (_: object, message: string) => void told.push(message) };
  const indexOf = () => {
    throw new NetlinkError('SIOCGIFINDEX', EMFILE);
  };
  const attaching = {
    world: { log },
    caller: { isWarm: true, perform: () => Promise.resolve(false) },
    delegated: { options: { bridge: 'cni0', enabledad, vlan: 0 }, ipam: { routes: [] } },
    records: { write() {} },
    pod: { session: { indexOf } },
    record: { hostLink: 'veth01020304', hostMac: mac('02:00:00:00:00:02'), ifname: 'eth0' },
    bridge: { ifindex: 3, mac: mac('02:00:00:00:00:01'), addresses: [], up: true },
    mac: mac('02:00:00:00:00:03'),
  } as unknown as Attaching;
  return { told, result: attach(attaching, [], () => 'the result') };
}

test('an attachment of which neighbours cannot be told stands, and that is logged', async () => {
  const { told, result } = attachBlindly(false);
  expect(await result).toBe('the result');
  expect(told).toEqual(['a new pod could not be announced to its neighbours']);
});

test('one whose addresses cannot be looked at for duplicates fails, with what the kernel said', async () => {
  const { told, result } = attachBlindly(true);
  await expect(result).rejects.toThrow(/SIOCGIFINDEX.*EMFILE/);
  expect(told).toEqual([]);
});
