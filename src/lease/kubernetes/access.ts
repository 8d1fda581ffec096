import type { TlsSettings } from '../../http/tls.ts';
import { RegistryError } from '../registry.ts';

/** How to get at an API server, and as whom. */
export interface KubernetesAccess {
  /** `https://10.96.0.1:443` */
  readonly server: string;
  readonly tls: TlsSettings;
  /** Nothing: the client certificate, or nobody in particular. */
  readonly token?: { readonly text: string } | { readonly file: string };
}

/** Behind either of them the paths that are asked for would belong to it. A path of its own may lead to the server. */
export const hasQueryOrFragment = (server: string): boolean => /[?#]/.test(server);

const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount';

/** As Kubernetes tells every pod. Throws a permanent {@link RegistryError} outside of one. */
export function accessFromPod(environment: Readonly<Record<string, string | undefined>>): KubernetesAccess {
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '' } = environment;
  if (host === '' || port === '') {
    throw new RegistryError(
      '--kube-subnet-mgr: flanneld does not run in a pod (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not ' +
        'set), so it does not know the API server: name a kubeconfig with --kubeconfig-file',
      { permanent: true },
    );
  }
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    tls: { ca: { file: `${serviceAccount}/ca.crt` } },
    token: { file: `${serviceAccount}/token` },
  };
}

/** For `Authorization`; a token's file is read each time, as tokens are replaced there. */
export function authorization(
  { token }: KubernetesAccess,
  readFile: (file: string) => string,
): Record<string, string> {
  if (token === undefined) return {};
  const text = 'text' in token ? token.text : tokenIn(token.file, readFile);
  return { authorization: `Bearer ${text}` };
}

function tokenIn(file: string, readFile: (file: string) => string): string {
  let text: string;
  try {
    text = readFile(file).trim();
  } catch (error) {
    throw new RegistryError(`the token for the API server cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new RegistryError(`${file} holds no token for the API server: one line of printable characters`);
}
