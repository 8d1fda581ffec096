import { expect, test } from 'vitest';
import { RegistryContact } from '../../src/daemon/leases/registry-contact.ts';
import { silentLog } from '../../src/world/log.ts';
import { VirtualClock } from '../kit/virtual-clock.ts';

test('a registry that is away is told once, whatever attempts to write there say meanwhile', () => {
  const told: string[] = [];
  const warn = (_: object, message: string) => void told.push(message);
  const contact = new RegistryContact('etcd', { clock: new VirtualClock(), log: { ...silentLog, warn } });
  const away = () => contact.isAway(1000, 'nothing listens there');
  away();
  contact.failed('peers cannot be told', 'cannot take a lease', 500);
  away();
  expect(told).toEqual([
    'the etcd is away, peers stay as they are: nothing listens there',
    'peers cannot be told: cannot take a lease',
  ]);
  expect(contact.status()).toMatchObject({ staleSince: '1970-01-01T00:00:01.000Z' });
  contact.answers();
  away();
  expect(told).toHaveLength(3);
});
