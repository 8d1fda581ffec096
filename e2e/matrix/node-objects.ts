import type { FakeApiServer } from '../../test/lease/kubernetes/api-server.ts';
import type { ApiServer } from '../lab/api-server.ts';

/** The Nodes of an API server, made and removed as by those who run a cluster. */
export interface NodeObjects {
  make(name: string, podCIDRs: string[]): Promise<void>;
  remove(name: string): Promise<void>;
  /** For flanneld, to which the server is at that host and port. */
  kubeconfig(at: string): string;
}

export function realNodes(server: ApiServer): NodeObjects {
  return {
    async make(name, podCIDRs) {
      const spec = { podCIDR: podCIDRs[0], podCIDRs };
      await server.ask('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec });
    },
    remove: (name) => server.remove(`/api/v1/nodes/${name}`),
    kubeconfig(at) {
      const authority = Buffer.from(server.authority).toString('base64');
      const cluster = { server: `https://${at}`, 'certificate-authority-data': authority };
      return kubeconfig(cluster, server.tokens.flannel);
    },
  };
}

export function scriptedNodes(server: FakeApiServer): NodeObjects {
  return {
    make: async (name, podCIDRs) => void server.addNode(name, podCIDRs),
    remove: async (name) => server.removeNode(name),
    kubeconfig: (at) => kubeconfig({ server: `http://${at}` }, 'none'),
  };
}

/** JSON is YAML. */
function kubeconfig(cluster: object, token: string): string {
  return JSON.stringify({
    'current-context': 'matrix',
    contexts: [{ name: 'matrix', context: { cluster: 'matrix', user: 'flannel' } }],
    clusters: [{ name: 'matrix', cluster }],
    users: [{ name: 'flannel', user: { token } }],
  });
}
