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
    kubeconfig: (at) => server.kubeconfig(`https://${at}`, server.tokens.flannel),
  };
}

export function scriptedNodes(server: FakeApiServer): NodeObjects {
  return {
    make: async (name, podCIDRs) => void server.addNode(name, podCIDRs),
    remove: async (name) => server.removeNode(name),
    kubeconfig: (at) =>
      JSON.stringify({
        'current-context': 'lab',
        contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'lab' } }],
        clusters: [{ name: 'lab', cluster: { server: `http://${at}` } }],
        users: [{ name: 'lab', user: { token: 'none' } }],
      }),
  };
}
