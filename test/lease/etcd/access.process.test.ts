import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { KeySpace } from '../../../src/lease/etcd/key-space.ts';
import type { EtcdStore } from '../../../src/lease/etcd/store.ts';
import { Authority } from '../../kit/certificates.ts';
import { Etcd, type EtcdLaunch, etcdStore } from '../../kit/etcd.ts';
import { freePort } from '../../kit/free-port.ts';

const keys = new KeySpace('/n');
const value = { put: keys.keyOf('10.5.1.0-24'), value: '{}', leaseId: '0' };

/** Everything that a lease needs: reads, writes, an etcd lease, and the beginning of a watch. */
async function useAll(store: EtcdStore): Promise<void> {
  const leaseId = await store.grant(60);
  await store.transact([], [{ ...value, leaseId }]);
  await store.keepAlive(leaseId);
  const { kvs, revision } = await store.list(keys.leases);
  expect(kvs.map(({ key }) => key)).toContain(value.put);
  const stop = new AbortController();
  for await (const message of store.watch(keys.leases, revision, stop.signal)) {
    expect(message.is).toBe('created');
    break;
  }
  stop.abort();
  await store.revoke(leaseId);
}

async function start(launch: EtcdLaunch): Promise<Etcd> {
  const etcd = await Etcd.start(launch);
  onTestFinished(() => etcd.stop());
  return etcd;
}

describe('several endpoints', () => {
  test('the next is asked when one cannot be reached', async () => {
    const etcd = await start({});
    const nowhere = `http://127.0.0.1:${await freePort()}`;
    const store = etcdStore({ endpoints: [nowhere, etcd.url] });
    await useAll(store);
    expect(store.gateway.endpoint).toBe(etcd.url);
  });

  test('those that cannot be reached are named, each with its reason', async () => {
    const [one, other] = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`];
    const asked = etcdStore({ endpoints: [one, other] }).list(keys.leases);
    await expect(asked).rejects.toThrow(
      new RegExp(`${one}.*nothing listens there.*${other}.*nothing listens there`),
    );
  });

  test('a connection that etcd has ended meanwhile is no failure', async () => {
    const etcd = await start({});
    const store = etcd.store();
    await useAll(store);
    await etcd.kill('SIGTERM');
    await etcd.begin();
    await useAll(store);
  });
});

describe('a gateway that is switched off', () => {
  test('is named with the setting that mends it', async () => {
    const etcd = await start({ args: ['--enable-grpc-gateway=false'] });
    await expect(etcd.store().list(keys.leases)).rejects.toThrow(
      /has no JSON gateway: start etcd with --enable-grpc-gateway=true/,
    );
    const stop = new AbortController();
    await expect(etcd.store().watch(keys.leases, 1n, stop.signal).next()).rejects.toThrow(/no JSON gateway/);
  });
});

describe('users', () => {
  let etcd: Etcd;
  const call = (path_: string, question: object, user?: { name: string; password: string }) =>
    etcd.store(user && { user }).gateway.call(path_, { ...question });
  const root = { name: 'root', password: 'secret' };
  const fl = { name: 'fl', password: 'pass' };

  beforeAll(async () => {
    etcd = await Etcd.start({ args: ['--auth-token=simple'] });
    for (const { name, password } of [root, fl]) {
      await call('/v3/auth/user/add', { name, password });
      await call('/v3/auth/role/add', { name });
      await call('/v3/auth/user/grant', { user: name, role: name });
    }
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    const perm = { permType: 'READWRITE', key: base64('/n/'), range_end: base64('/n0') };
    await call('/v3/auth/role/grant', { name: 'fl', perm });
    await call('/v3/auth/enable', {});
  });
  afterAll(() => etcd.stop());

  test('one with the rights that flannel needs can do everything', async () => {
    await useAll(etcd.store({ user: fl }));
  });

  test('a token that is good no more is replaced', async () => {
    const store = etcd.store({ user: fl });
    await useAll(store);
    // Tokens do not survive etcd.
    await etcd.kill('SIGTERM');
    await etcd.begin();
    await useAll(store);
  });

  test('a watch that was refused for its token is opened with a new one', async () => {
    const store = etcd.store({ user: fl });
    await useAll(store);
    await etcd.kill('SIGTERM');
    await etcd.begin();
    const stop = new AbortController();
    const message = await store.watch(keys.leases, 1n, stop.signal).next();
    stop.abort();
    expect(message.value).toMatchObject({
      is: 'canceled',
      why: expect.stringContaining('invalid auth token'),
    });
    const { why } = message.value as { why: string };
    expect(store.gateway.ended(why).message).toMatch(/invalid auth token/);
    const again = new AbortController();
    expect((await store.watch(keys.leases, 1n, again.signal).next()).value).toMatchObject({ is: 'created' });
    again.abort();
  });

  test.each([
    [undefined, /wants a user: give --etcd-username and --etcd-password/],
    [{ name: 'fl', password: 'wrong' }, /for the user fl: .*look at --etcd-username and --etcd-password/],
    [{ name: 'nobody', password: 'x' }, /for the user nobody/],
  ])('%j is refused, with what mends it', async (user, message) => {
    await expect(etcd.store(user && { user }).list(keys.leases)).rejects.toThrow(message);
  });

  test('rights that are missing are named', async () => {
    const asked = etcd.store({ user: fl }).list(new KeySpace('/elsewhere').leases);
    await expect(asked).rejects.toThrow(
      /for the user fl: .*permission denied; its role needs.*grant-permission/,
    );
  });
});

test('a user is no trouble where etcd has no users', async () => {
  const etcd = await start({});
  await useAll(etcd.store({ user: { name: 'fl', password: 'x' } }));
});

describe('TLS', () => {
  const directory = fs.mkdtempSync(path.join(tmpdir(), 'fl-etcd-tls-'));
  const authority = new Authority('etcd');
  const file = (name: string, text?: string): string => {
    const whole = path.join(directory, name);
    if (text !== undefined) fs.writeFileSync(whole, text);
    return whole;
  };
  const write = (name: string, by: Authority, names: string[] = [], commonName = name) => {
    const { cert, key } = by.issue(commonName, { names });
    return { cert: { file: file(`${name}.crt`, cert) }, key: { file: file(`${name}.key`, key) } };
  };
  const ca = { file: file('ca.crt', authority.cert) };
  const server = write('server', authority, ['127.0.0.1']);
  const serverArgs = [`--cert-file=${server.cert.file}`, `--key-file=${server.key.file}`];
  const mutual = [...serverArgs, '--client-cert-auth', `--trusted-ca-file=${ca.file}`];
  afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

  test('with the authority alone', async () => {
    const etcd = await start({ scheme: 'https', args: serverArgs });
    await useAll(etcd.store({ tls: { ca } }));
  });

  test('another authority is refused, and named', async () => {
    const etcd = await start({ scheme: 'https', args: serverArgs });
    const other = { file: file('other.crt', new Authority('other').cert) };
    await expect(etcd.store({ tls: { ca: other } }).list(keys.leases)).rejects.toThrow(
      /certificate is not signed by the authority/,
    );
  });

  test('with a certificate of this node’s, which etcd wants', async () => {
    const etcd = await start({ scheme: 'https', args: mutual });
    await useAll(etcd.store({ tls: { ca, ...write('node', authority) } }));
    await expect(etcd.store({ tls: { ca } }).list(keys.leases)).rejects.toThrow(/client certificate/);
  });

  test('a renewed certificate comes into use by itself', async () => {
    const etcd = await start({ scheme: 'https', args: mutual });
    const tls = { ca, ...write('renewed', new Authority('other')) };
    const store = etcd.store({ tls });
    await expect(store.list(keys.leases)).rejects.toThrow(/client certificate/);
    write('renewed', authority);
    await useAll(store);
  });

  test('plain HTTP where TLS is spoken, and the reverse, are told apart', async () => {
    const etcd = await start({ scheme: 'https', args: serverArgs });
    const plain = etcdStore({ endpoints: [etcd.url.replace('https', 'http')] });
    await expect(plain.list(keys.leases)).rejects.toThrow(/does it want https:\/\/ there\?/);
    const other = await start({});
    const secure = etcdStore({ endpoints: [other.url.replace('http', 'https')], tls: { ca } });
    await expect(secure.list(keys.leases)).rejects.toThrow(/does it want http:\/\/ there\?/);
  });

  test('a user by the name in a certificate does not exist for the gateway: that is told', async () => {
    const etcd = await start({ scheme: 'https', args: mutual });
    const tls = { ca, ...write('root', authority) };
    const admin = etcd.store({ tls }).gateway;
    await admin.call('/v3/auth/user/add', { name: 'root', password: 'secret' });
    await admin.call('/v3/auth/role/add', { name: 'root' });
    await admin.call('/v3/auth/user/grant', { user: 'root', role: 'root' });
    await admin.call('/v3/auth/enable', {});
    const user = { name: 'root', password: 'secret' };
    for (const as of [{ tls }, { tls, user }]) {
      await expect(etcd.store(as).list(keys.leases)).rejects.toThrow(
        /common name in their certificates: give --etcd-username .* --etcd-certfile without a common name/,
      );
    }
    await useAll(etcd.store({ tls: { ca, ...write('nameless', authority, [], '') }, user }));
  });
});
