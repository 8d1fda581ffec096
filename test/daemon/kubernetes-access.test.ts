import { describe, expect, test } from 'vitest';
import { kubernetesAccess, kubernetesNode } from '../../src/daemon/leases/kubernetes-access.ts';

const file = '/etc/flannel/kubeconfig';
const pod = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };
const kubeconfig = `
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: lab, user: flannel}}]
clusters:
  - name: lab
    cluster:
      server: https://10.0.0.1:6443
      insecure-skip-tls-verify: true
users:
  - name: flannel
    user: {token: "12345", exec: null}
`;

const access = (url: string, kubeconfigFile: string, text = kubeconfig) =>
  kubernetesAccess({ 'kube-api-url': url, 'kubeconfig-file': kubeconfigFile }, pod, () => text);

describe('the way to the API server', () => {
  test('is what Kubernetes tells a pod', async () => {
    expect(await access('', '')).toMatchObject({
      server: 'https://10.96.0.1:443',
      token: { file: expect.any(String) },
    });
  });

  test('is what the kubeconfig says', async () => {
    const said = { server: 'https://10.0.0.1:6443', tls: { insecure: true }, token: { text: '12345' } };
    expect(await access('', file)).toEqual(said);
    expect(await access('https://[fd00::1]:6443', file)).toEqual({
      ...said,
      server: 'https://[fd00::1]:6443',
    });
    expect(await access('', file, JSON.stringify({ ...parsed(), kind: 'Config' }))).toMatchObject({
      server: 'http://x',
    });
  });

  test('is a URL alone, for a server that asks nobody who he is', async () => {
    expect(await access('http://127.0.0.1:8080', '')).toEqual({ server: 'http://127.0.0.1:8080', tls: {} });
    expect(await access('https://proxy/clusters/c', '')).toEqual({
      server: 'https://proxy/clusters/c',
      tls: {},
    });
  });

  test.each([
    ['10.0.0.1:6443', '', '', '--kube-api-url: "10.0.0.1:6443" is no URL'],
    ['u:xyz@10.0.0.1', '', '', '--kube-api-url: "...@10.0.0.1" is no URL'],
    [
      'https://u:xyz@10.0.0.1',
      '',
      '',
      "--kube-api-url: https://...@10.0.0.1 has somebody's name or password",
    ],
    [
      'https://10.0.0.1:6443/?a=b',
      '',
      '',
      '--kube-api-url: "https://10.0.0.1:6443/?a=b" has a query or a fragment',
    ],
    ['https://10.0.0.1#', file, kubeconfig, '--kube-api-url: "https://10.0.0.1#" has a query or a fragment'],
    ['', file, 'a: [', `${file}:1 is not YAML`],
    ['', file, '', `${file}: current-context is missing`],
  ])('is refused: %s', async (url, name, text, why) => {
    await expect(access(url, name, text)).rejects.toThrow(why);
  });

  test('says when the kubeconfig is not there', async () => {
    const none = () => {
      throw new Error('ENOENT: no such file');
    };
    const options = { 'kube-api-url': '', 'kubeconfig-file': file };
    await expect(kubernetesAccess(options, {}, none)).rejects.toThrow(
      `${file} cannot be read: ENOENT: no such file`,
    );
  });
});

test('the node is named by the options, by the pod, or by the host', () => {
  const environment = { POD_NAME: 'ds-1', POD_NAMESPACE: 'kube-flannel' };
  expect(kubernetesNode('a', environment, 'host')).toBe('a');
  expect(kubernetesNode('', environment, 'host')).toEqual({ namespace: 'kube-flannel', pod: 'ds-1' });
  expect(kubernetesNode('', { POD_NAME: 'ds-1' }, 'host')).toBe('host');
});

const parsed = () => ({
  'current-context': 'c',
  contexts: [{ name: 'c', context: { cluster: 'c' } }],
  clusters: [{ name: 'c', cluster: { server: 'http://x' } }],
});
