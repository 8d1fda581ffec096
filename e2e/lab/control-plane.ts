import { existsSync } from 'node:fs';
import { ApiServer, kubernetesProgram, noApiServer } from './api-server.ts';
import { runtimes } from './runtime.ts';

/** Why there can be no whole cluster here; undefined when there can. */
export const noKubernetes: string | undefined =
  noApiServer ??
  runtimes.find(({ name }) => name === 'containerd 2.4')?.missing ??
  (existsSync(kubernetesProgram('kubelet'))
    ? undefined
    : 'kubelet is not built: Go is missing or older than e2e/kubernetes/go.mod asks for');

/** An API server with the controllers and the scheduler beside it, on loopback: what makes nodes and pods of objects. */
export async function startControlPlane(clusterCidr: readonly string[]): Promise<ApiServer> {
  const server = await ApiServer.start();
  const { directory } = server;
  const common = [`--kubeconfig=${directory}/admin.kubeconfig`, '--leader-elect=false', '--secure-port=0'];
  server.startBeside(kubernetesProgram('kube-controller-manager'), [
    ...common,
    '--allocate-node-cidrs=true',
    `--cluster-cidr=${clusterCidr.join(',')}`,
    '--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112',
    `--service-account-private-key-file=${directory}/sa.key`,
    `--root-ca-file=${directory}/ca.crt`,
  ]);
  server.startBeside(kubernetesProgram('kube-scheduler'), common);
  return server;
}
