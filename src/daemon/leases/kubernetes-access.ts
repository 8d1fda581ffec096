import { JsonError } from '../../json/go-json.ts';
import { yamlEntries } from '../../json/yaml.ts';
import { accessFromPod, hasQueryOrFragment, type KubernetesAccess } from '../../lease/kubernetes/access.ts';
import { accessFromKubeconfig } from '../../lease/kubernetes/kubeconfig.ts';
import type { KubernetesRegistryOptions } from '../../lease/kubernetes/kubernetes.ts';
import type { Environment } from '../options/configuration.ts';
import { UsageError } from '../options/go-flags.ts';
import { type Options, withoutPassword } from '../options/options.ts';

type ReadFile = (file: string) => string;

/**
 * Where the API server is, and as whom flanneld comes: by Go flannel's rules the kubeconfig, `--kube-api-url` in place of its
 * server, or what Kubernetes tells a pod. Rejects with an Error for the operator.
 */
export async function kubernetesAccess(
  options: Pick<Options, 'kubeconfig-file' | 'kube-api-url'>,
  environment: Environment,
  readFile: ReadFile,
): Promise<KubernetesAccess> {
  const { 'kubeconfig-file': file, 'kube-api-url': url } = options;
  if (url !== '' && !(/^https?:\/\/[^/]/.test(url) && URL.canParse(url))) {
    throw new UsageError(
      `--kube-api-url: ${JSON.stringify(withoutPassword(url))} is no URL such as https://10.0.0.1:6443`,
    );
  }
  // It stands in the log and in the status.
  if (url !== withoutPassword(url)) {
    throw new UsageError(
      `--kube-api-url: ${withoutPassword(url)} has somebody's name or password in it, which Kubernetes has no use for: leave it out, ` +
        'and give a token by --kubeconfig-file',
    );
  }
  if (hasQueryOrFragment(url)) {
    throw new UsageError(
      `--kube-api-url: ${JSON.stringify(url)} has a query or a fragment, which is of no use: leave it out`,
    );
  }
  if (file !== '') return accessFromKubeconfig(await kubeconfig(file, readFile), file, url);
  return url === '' ? accessFromPod(environment) : { server: url, tls: {} };
}

async function kubeconfig(file: string, readFile: ReadFile): Promise<unknown> {
  try {
    const entries = await yamlEntries(readFile(file), file);
    return Object.fromEntries(entries.map(({ key, value }) => [key, value]));
  } catch (error) {
    if (error instanceof JsonError) throw new UsageError(error.message);
    throw new UsageError(
      `${file} cannot be read: ${(error as Error).message}; --kubeconfig-file names another file`,
    );
  }
}

/** By Go flannel's rules NODE_NAME, else the node of the pod that flanneld runs in; else the host name, as kubelet's is. */
export function kubernetesNode(
  name: string,
  environment: Environment,
  hostName: string,
): KubernetesRegistryOptions['node'] {
  const { POD_NAME: pod = '', POD_NAMESPACE: namespace = '' } = environment;
  if (name !== '') return name;
  return pod !== '' && namespace !== '' ? { namespace, pod } : hostName;
}
