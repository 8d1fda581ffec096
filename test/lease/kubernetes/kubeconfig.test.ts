import { describe, expect, test } from 'vitest';
import { accessFromPod, authorization } from '../../../src/lease/kubernetes/access.ts';
import { accessFromKubeconfig } from '../../../src/lease/kubernetes/kubeconfig.ts';

const pem = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';
const base64 = Buffer.from(pem).toString('base64');
const file = '/etc/flannel/kubeconfig';

const config = (cluster: object, user: object) => ({
  'current-context': 'here',
  contexts: [
    { name: 'there', context: {} },
    { name: 'here', context: { cluster: 'c', user: 'u' } },
  ],
  clusters: [{ name: 'c', cluster: { server: 'https://10.0.0.1:6443', ...cluster } }],
  users: [{ name: 'u', user }],
});
const access = (cluster: object, user: object) => accessFromKubeconfig(config(cluster, user), file);

describe('a kubeconfig', () => {
  test('names files beside itself', () => {
    const user = { 'client-certificate': 'pki/cert', 'client-key': '/abs/key', tokenFile: '../token' };
    expect(access({ 'certificate-authority': 'ca.crt' }, user)).toEqual({
      server: 'https://10.0.0.1:6443',
      tls: {
        ca: { file: '/etc/flannel/ca.crt' },
        cert: { file: '/etc/flannel/pki/cert' },
        key: { file: '/abs/key' },
      },
      token: { file: '/etc/token' },
    });
  });

  test('holds the data itself, which goes before the files', () => {
    const user = {
      'client-certificate-data': base64,
      'client-certificate': 'x',
      'client-key-data': base64,
      token: 't',
    };
    expect(access({ 'certificate-authority-data': base64, 'tls-server-name': 'api' }, user)).toEqual({
      server: 'https://10.0.0.1:6443',
      tls: { ca: { text: pem }, cert: { text: pem }, key: { text: pem }, serverName: 'api' },
      token: { text: 't' },
    });
  });

  test('may trust whatever answers, and say nothing about the user', () => {
    expect(access({ 'insecure-skip-tls-verify': 'true' }, {}).tls).toEqual({ insecure: true });
    expect(accessFromKubeconfig(config({}, {}), file, 'http://127.0.0.1:8080').server).toBe(
      'http://127.0.0.1:8080',
    );
  });

  test.each([
    ['no object', [], 'the file must be an object, and is an array'],
    ['no current context', {}, 'current-context is missing'],
    [
      'an unknown context',
      { 'current-context': 'x', contexts: [null, 1] },
      'there is no context "x" in contexts',
    ],
    ['an unknown cluster', { ...config({}, {}), clusters: [] }, 'there is no cluster "c" in clusters'],
    ['no URL', config({ server: '10.0.0.1' }, {}), 'the server "10.0.0.1" is no URL'],
    [
      'a query in the URL',
      config({ server: 'https://10.0.0.1/?a=b' }, {}),
      'the server "https://10.0.0.1/?a=b" has a query or a fragment',
    ],
    [
      'a fragment in the URL',
      config({ server: 'https://10.0.0.1#a' }, {}),
      'the server "https://10.0.0.1#a" has a query or a fragment',
    ],
    [
      'a password in the URL',
      config({ server: 'https://u:xyz@10.0.0.1' }, {}),
      "the server's URL has somebody's name or password in it",
    ],
    [
      'a password in what is no URL',
      config({ server: 'u:xyz@10.0.0.1' }, {}),
      "the server's URL has somebody's name or password in it",
    ],
    [
      'a program',
      config({}, { exec: { command: 'aws' } }),
      'the user "u" has exec: flanneld runs no program',
    ],
    ['a provider', config({}, { 'auth-provider': {} }), 'the user "u" has auth-provider'],
    ['a password in the URL', config({}, { username: 'a', password: 'b' }), 'the user "u" has username'],
    ['somebody else', config({}, { as: 'root' }), 'the user "u" has as: flanneld acts for nobody else'],
    ['a proxy', config({ 'proxy-url': 'http://p' }, {}), 'the cluster "c" has proxy-url'],
    [
      'half an identity',
      config({}, { 'client-certificate': 'x' }),
      'client-certificate and client-key belong together',
    ],
    ['no PEM', config({ 'certificate-authority-data': 'AAAA' }, {}), 'certificate-authority-data is not PEM'],
    ['a list', config({}, { token: ['a'] }), 'token must be a string, and is an array'],
    [
      'no word',
      config({ 'insecure-skip-tls-verify': 'yes' }, {}),
      'insecure-skip-tls-verify must be true or false',
    ],
  ])('with %s is refused', (_what, document, why) => {
    expect(() => accessFromKubeconfig(document, file)).toThrow(`${file}: ${why}`);
  });

  test('is told all that is wrong with it at once, and nothing secret', () => {
    const wrong = config(
      { server: ['x'], 'certificate-authority': 'x', 'insecure-skip-tls-verify': 'true' },
      { exec: {}, token: 'secret', 'client-key-data': 'secret' },
    );
    let message = '';
    try {
      accessFromKubeconfig(wrong, file);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message.split('\n')).toHaveLength(6);
    expect(message).not.toContain('secret');
  });
});

describe('in a pod', () => {
  test('Kubernetes says where it is', () => {
    const pod = accessFromPod({ KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' });
    expect(pod.server).toBe('https://[fd00::1]:443');
    expect(authorization(pod, () => 'abc\n')).toEqual({ authorization: 'Bearer abc' });
    expect(() => authorization(pod, () => 'a\nb')).toThrow('holds no token');
  });

  test('and elsewhere a kubeconfig must', () => {
    expect(() => accessFromPod({ KUBERNETES_SERVICE_HOST: '10.96.0.1' })).toThrow('--kubeconfig-file');
  });
});
