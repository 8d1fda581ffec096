import { describe, expect, test } from 'vitest';
import { failureOf } from '../../../src/lease/etcd/etcd-error.ts';

const asker = { endpoint: 'https://10.0.0.1:2379' };
const said = (message: string, code: number) => JSON.stringify({ error: message, message, code });

describe('what etcd refuses', () => {
  test.each([
    [
      404,
      '404 page not found',
      {},
      'elsewhere',
      /no JSON gateway: start etcd with --enable-grpc-gateway=true/,
    ],
    [200, '<html>', {}, 'elsewhere', /not as etcd does/],
    [400, said('etcdserver: user name is empty', 3), {}, 'refused', /wants a user: give --etcd-username and/],
    [
      400,
      'CommonName of client sending a request against gateway will be ignored and not used as expected\n',
      {},
      'refused',
      /common name in their certificates: give --etcd-username .* --etcd-certfile without a common name/,
    ],
    [400, said('etcdserver: user name is empty', 3), { user: 'fl' }, 'token', /for the user fl/],
    [401, said('etcdserver: invalid auth token', 16), { user: 'fl' }, 'token', /invalid auth token/],
    [400, said('etcdserver: revision of auth store is old', 3), { user: 'fl' }, 'token', /auth store is old/],
    [412, said('etcdserver: authentication is not enabled', 9), { user: 'fl' }, 'no users', /not enabled/],
    [
      400,
      said('etcdserver: authentication failed, invalid user ID or password', 3),
      { user: 'fl' },
      'refused',
      /look at --etcd-username and --etcd-password/,
    ],
    [
      403,
      said('etcdserver: permission denied', 7),
      { user: 'fl' },
      'refused',
      /grant-permission ROLE --prefix=true/,
    ],
    [503, said('etcdserver: no leader', 14), {}, 'elsewhere', /no leader/],
    [504, said('etcdserver: request timed out', 4), {}, 'elsewhere', /timed out/],
    [
      503,
      said(
        'all SubConns are in TransientFailure, connection error: authentication handshake failed: remote error',
        14,
      ),
      {},
      'elsewhere',
      /must be signed by --trusted-ca-file and allow client authentication/,
    ],
  ] as const)('HTTP %s %.60s', (status, text, more, meaning, message) => {
    const failure = failureOf(status, text, { ...asker, ...more });
    expect(failure.meaning).toBe(meaning);
    expect(failure.message).toMatch(message);
    expect(failure.message).toContain('https://10.0.0.1:2379');
  });
});
