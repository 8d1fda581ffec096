import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TLSSocket } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Authority, type Identity } from '../kit/certificates.ts';
import { clientOf, get, listen, messageOf } from './conversation.ts';

describe('over TLS', () => {
  const authority = new Authority('test');
  const server = authority.issue('server', { names: ['127.0.0.1', 'api.test'] });
  const ca = { text: authority.cert };

  test('trusts the authority that it was given, and no other', async () => {
    const url = await secure(server);
    expect((await clientOf({ servers: [url], tls: { ca } }).text(get)).text).toBe('nobody');
    const other = { text: new Authority('other').cert };
    for (const tls of [{}, { ca: other }]) {
      expect(await messageOf(clientOf({ servers: [url], tls }).text(get))).toMatch(
        /not signed by the authority/,
      );
    }
    expect((await clientOf({ servers: [url], tls: { insecure: true } }).text(get)).text).toBe('nobody');
  });

  test('looks at the name in the certificate', async () => {
    const named = await secure(authority.issue('server', { names: ['api.test'] }));
    expect(await messageOf(clientOf({ servers: [named], tls: { ca } }).text(get))).toMatch(
      /is for another name/,
    );
    const client = clientOf({ servers: [named], tls: { ca, serverName: 'api.test' } });
    expect((await client.text(get)).text).toBe('nobody');
  });

  test('looks at the dates', async () => {
    const now = Date.now();
    const old = await secure(
      authority.issue('s', { names: ['127.0.0.1'], from: now - 9e6, until: now - 6e6 }),
    );
    expect(await messageOf(clientOf({ servers: [old], tls: { ca } }).text(get))).toMatch(
      /has expired: renew it/,
    );
    const early = await secure(
      authority.issue('s', { names: ['127.0.0.1'], from: now + 6e6, until: now + 9e6 }),
    );
    expect(await messageOf(clientOf({ servers: [early], tls: { ca } }).text(get))).toMatch(/not valid yet/);
  });

  test('comes with its certificate, read anew from its files', async () => {
    const url = await secure(server, authority);
    const directory = mkdtempSync(path.join(tmpdir(), 'http-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const [cert, key] = [path.join(directory, 'cert'), path.join(directory, 'key')];
    const client = clientOf({ servers: [url], tls: { ca, cert: { file: cert }, key: { file: key } } });
    const write = (identity: Identity) => {
      writeFileSync(cert, identity.cert);
      writeFileSync(key, identity.key);
    };
    expect(await messageOf(client.text(get))).toMatch(/the client certificate cannot be read: ENOENT.*cert'/);
    write({ cert: 'no', key: 'none' });
    expect(await messageOf(client.text(get))).toMatch(/the client certificate in .*cert is not PEM/);
    write(authority.issue('first'));
    expect((await client.text(get)).text).toBe('first');
    write(authority.issue('second'));
    expect((await client.text(get)).text).toBe('second');
    expect(await messageOf(clientOf({ servers: [url], tls: { ca } }).text(get))).toMatch(
      /wants a client certificate/,
    );
  });

  test('says that a server does not speak TLS', async () => {
    const url = await listen(http.createServer());
    const client = clientOf({ servers: [url.replace('http:', 'https:')], tls: { ca } });
    expect(await messageOf(client.text(get))).toMatch(/http:\/\/ instead of https:\/\//);
  });
});

/** Answers the name in the client's certificate. */
function secure(identity: Identity, clients?: Authority): Promise<string> {
  const trust = clients && { requestCert: true, ca: clients.cert };
  const server = https.createServer({ ...identity, ...trust }, (request, response) => {
    response.end(clients ? (request.socket as TLSSocket).getPeerCertificate().subject.CN : 'nobody');
  });
  return listen(server).then((url) => url.replace('http:', 'https:'));
}
