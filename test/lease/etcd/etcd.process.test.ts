import { describe, onTestFinished } from 'vitest';
import { EtcdRegistry, type EtcdRegistryOptions } from '../../../src/lease/etcd/etcd.ts';
import { KeySpace } from '../../../src/lease/etcd/key-space.ts';
import { address } from '../../../src/net/address.ts';
import { systemClock } from '../../../src/world/clock.ts';
import { silentLog } from '../../../src/world/log.ts';
import { systemRandom } from '../../../src/world/random.ts';
import { Etcd } from '../../kit/etcd.ts';
import { allocationSuite, type RegistryKit, registrySuite } from '../registry-suite.ts';

const ranges = {
  ipv4: { length: 24, min: address('10.244.1.0'), max: address('10.244.255.0') },
  ipv6: { length: 64, min: address('fd00:244:0:1::'), max: address('fd00:244:0:ff::') },
};
const keys = new KeySpace('/coreos.com/network');

function registry(etcd: Etcd, options: Partial<EtcdRegistryOptions> = {}): EtcdRegistry {
  const made = new EtcdRegistry({
    store: etcd.store(),
    keys,
    ranges,
    renewMargin: 60,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    ...options,
  });
  onTestFinished(() => made.close());
  return made;
}

async function startEtcd(): Promise<Etcd> {
  const etcd = await Etcd.start();
  onTestFinished(() => etcd.stop());
  return etcd;
}

async function kit(): Promise<RegistryKit> {
  const etcd = await startEtcd();
  return {
    node: () => registry(etcd),
    async spoil() {
      await etcd.put(keys.keyOf('10.244.9.0-24'), '{"PublicIP":');
      return '10.244.9.0-24';
    },
    remove: (id) => etcd.remove(keys.keyOf(id)),
    away: () => etcd.kill(),
    back: () => etcd.begin(),
  };
}

describe('etcd', () => {
  registrySuite(kit);
  allocationSuite(kit);
});
