import { expect, onTestFinished, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import * as k from '../../src/netlink/constants.ts';
import {
  delNftTable,
  getNftTable,
  newNftChain,
  newNftTable,
  nftTransaction,
} from '../../src/netlink/netfilter/nftables.ts';
import { SyncSession } from '../../src/netlink/session.ts';
import { openSocket } from '../../src/netlink/socket.ts';
import { createNetns } from '../kit/netns.ts';

function openSession(): SyncSession {
  const netns = createNetns();
  const socket = openSocket(loadBinding(), { protocol: k.NETLINK_NETFILTER, netnsFd: netns.fd });
  const session = new SyncSession(socket);
  onTestFinished(() => {
    session.close();
    netns.remove();
  });
  return session;
}

const table = (name: string) => ({ nfgen_family: k.AF_INET, NFTA_TABLE_NAME: name });

test('a netfilter transaction is done as a whole, or not at all', () => {
  const session = openSession();
  session.allOrNothing(nftTransaction([newNftTable(table('a')), newNftTable(table('b'))]));
  expect(session.request(getNftTable(k.AF_INET, 'b'))).toMatchObject([{ NFTA_TABLE_NAME: 'b' }]);
  const stray = { nfgen_family: k.AF_INET, NFTA_CHAIN_TABLE: 'nowhere', NFTA_CHAIN_NAME: 'c' };
  const changes = [delNftTable(table('a')), newNftChain(stray), newNftTable(table('d'))];
  expect(() => session.allOrNothing(nftTransaction(changes))).toThrow(
    /^NFT_MSG_NEWCHAIN: ENOENT .*NFTA_CHAIN_TABLE/,
  );
  expect(session.request(getNftTable(k.AF_INET, 'a'))).toHaveLength(1);
  expect(() => session.request(getNftTable(k.AF_INET, 'd'))).toThrow('ENOENT');
});

test('the last change of a transaction may be the one that is refused', () => {
  const session = openSession();
  const changes = [newNftTable(table('a')), delNftTable(table('b'))];
  expect(() => session.allOrNothing(nftTransaction(changes))).toThrow(/^NFT_MSG_DELTABLE: ENOENT/);
  expect(() => session.request(getNftTable(k.AF_INET, 'a'))).toThrow('ENOENT');
});
