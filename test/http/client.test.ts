import http from 'node:http';
import net, { type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { clientOf, get, listen, messageOf } from './conversation.ts';

describe('an HTTP client', () => {
  test('sends what it is told, and answers status, headers and body', async () => {
    const url = await listen(
      http.createServer((request, response) => {
        const { method, url: asked, headers } = request;
        const seen = [method, asked, headers['authorization'], headers['x-a']].join(' ');
        response.writeHead(201, { 'x-seen': seen });
        request.pipe(response);
      }),
    );
    let token = 1;
    const client = clientOf({
      servers: [`${url}/base/`],
      headers: () => ({ authorization: `Bearer ${token++}` }),
    });
    const request = { method: 'POST', path: '/v1?x=1', body: 'hé', headers: { 'x-a': 'b' } } as const;
    const answer = await client.text(request);
    expect(answer).toMatchObject({ status: 201, text: 'hé' });
    expect(answer.headers['x-seen']).toBe('POST /base/v1?x=1 Bearer 1 b');
    expect((await client.text(request)).headers['x-seen']).toContain('Bearer 2');
  });

  test('keeps its connection, and opens another one when the server has ended it', async () => {
    const sockets = new Set<Socket>();
    const server = http.createServer((request, response) => {
      sockets.add(request.socket);
      // The second request on a connection meets its end.
      if (request.headers['x-end'] !== undefined && request.headers.connection !== 'close')
        request.socket.resetAndDestroy();
      else response.end('fine');
    });
    const client = clientOf({ servers: [await listen(server)] });
    await client.text(get);
    await client.text(get);
    expect(sockets.size).toBe(1);
    expect((await client.text({ ...get, headers: { 'x-end': '' } })).text).toBe('fine');
    expect(sockets.size).toBe(2);
    await client.text(get);
    await expect(client.text({ method: 'POST', path: '/', headers: { 'x-end': '' } })).rejects.toMatchObject({
      code: 'ECONNRESET',
    });
  });

  test('hands the body on while it comes, and lets go of the rest', async () => {
    let ended = false;
    let go: () => void = () => {};
    const url = await listen(
      http.createServer((request, response) => {
        response.write('one');
        go = () => response.write('two');
        request.socket.on('close', () => (ended = true));
      }),
    );
    const { body } = await clientOf({ servers: [url] }).request(get);
    const seen: string[] = [];
    for await (const chunk of body) {
      seen.push(chunk.toString());
      if (seen.length === 2) break;
      go();
    }
    expect(seen).toEqual(['one', 'two']);
    await until(() => ended);
  });

  test('goes to the next server when one cannot be reached, and stays there', async () => {
    const asked: string[] = [];
    const url = await listen(
      http.createServer((request, response) => response.end(`${asked.push(request.url ?? '')}`)),
    );
    const client = clientOf({ servers: [await nobody(), url] });
    await client.text({ method: 'POST', path: '/a' });
    await client.text({ method: 'POST', path: '/b' });
    expect(asked).toEqual(['/a', '/b']);
  });

  test('names each of several servers when none can be reached', async () => {
    const servers = [await nobody(), await nobody()];
    const message = await messageOf(clientOf({ servers }).text(get));
    for (const server of servers) expect(message).toContain(`GET ${server}/: connect ECONNREFUSED`);
    expect(message).toContain(`is this its address? GET ${servers[1]}/`);
  });

  test.each([
    ['before the answer', () => {}, 'no answer came within 0.05 s'],
    [
      'in the middle of it',
      (response: http.ServerResponse) => void response.write('x'),
      'it fell silent within 0.05 s',
    ],
  ])('gives up a server that is silent %s', async (_when, begin, why) => {
    const url = await listen(http.createServer((_request, response) => begin(response)));
    const asked = clientOf({ servers: [url] }).text({ ...get, path: '/x?secret=1', silence: 50 });
    expect(await messageOf(asked)).toBe(`GET ${url}/x: ${why}`);
  });

  test('gives up a server that accepts and does not speak TLS', async () => {
    const url = await listen(net.createServer(() => {}));
    const client = clientOf({ servers: [url.replace('http:', 'https:')] });
    expect(await messageOf(client.text({ ...get, connect: 50 }))).toMatch(/it was not reached within 0.05 s/);
  });

  test('does not count the time that the reader takes as silence', async () => {
    const url = await listen(
      http.createServer((_request, response) => {
        response.write('one');
        setTimeout(() => response.end('two'), 100);
      }),
    );
    const { body } = await clientOf({ servers: [url] }).request({ ...get, silence: 400 });
    let text = '';
    for await (const chunk of body) {
      text += chunk.toString();
      await pause(600);
    }
    expect(text).toBe('onetwo');
  });

  test.each([
    ['before the answer', () => {}],
    ['in the middle of it', (response: http.ServerResponse) => void response.write('x')],
  ])('is given up %s', async (_when, begin) => {
    const stop = new AbortController();
    const url = await listen(
      http.createServer((_request, response) => {
        begin(response);
        setTimeout(() => stop.abort(), 20);
      }),
    );
    const asked = clientOf({ servers: [url] }).text({ ...get, signal: stop.signal });
    await expect(asked).rejects.toMatchObject({ code: 'ABORT_ERR' });
  });

  test('does not begin when it was given up before', async () => {
    let asked = false;
    const url = await listen(http.createServer(() => (asked = true)));
    const given = clientOf({ servers: [url] }).text({ ...get, signal: AbortSignal.abort() });
    await expect(given).rejects.toMatchObject({ code: 'ABORT_ERR' });
    expect(asked).toBe(false);
  });

  test('says that the connection ended in the middle', async () => {
    const server = http.createServer((request, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('half', () => request.socket.destroy());
    });
    const client = clientOf({ servers: [await listen(server)] });
    expect(await messageOf(client.text(get))).toMatch(/aborted; the server ended the connection/);
  });

  test('takes no answer that is too long', async () => {
    const url = await listen(http.createServer((_request, response) => response.end('x'.repeat(2000))));
    await expect(clientOf({ servers: [url] }).text(get, 1999)).rejects.toMatchObject({ code: 'EMSGSIZE' });
    expect((await clientOf({ servers: [url] }).text(get, 2000)).text).toHaveLength(2000);
  });

  test('says when what answers is no HTTP', async () => {
    const url = await listen(net.createServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n')));
    expect(await messageOf(clientOf({ servers: [url] }).text(get))).toMatch(/does not speak HTTP/);
  });

  test('does not wait for ever for a server that switches protocols unasked', async () => {
    const switching = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n';
    const url = await listen(
      net.createServer((socket) => socket.once('data', () => socket.write(switching))),
    );
    expect(await messageOf(clientOf({ servers: [url] }).text(get))).toMatch(/ended without an answer/);
  });
});

/** An address at which nothing listens any more. */
async function nobody(): Promise<string> {
  const server = net.createServer();
  const url = await listen(server);
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return url;
}

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 5) {
    if (waited > 5000) throw new Error(`it did not come to this: ${condition.toString()}`);
    await pause(5);
  }
}
