// The test's API server as a program, for a network namespace of its own: `api-server-process.ts HOST`. Each line that comes in
// is `[method, ...arguments]` for it, each that goes out is what it holds afterwards.
import { createInterface } from 'node:readline';
import { FakeApiServer, type FakeNode } from '../lease/kubernetes/api-server.ts';

export interface Held {
  readonly url: string;
  readonly nodes: Readonly<Record<string, FakeNode>>;
  /** What was written to it. */
  readonly bodies: readonly string[];
}

const server = new FakeApiServer(undefined, process.argv[2]);
const methods: Record<string, (...args: never[]) => unknown> = {
  start: () => server.start(),
  stop: () => server.stop(),
  look: () => {},
  addNode: (name: string, podCIDRs: string[], annotations: Record<string, string>) =>
    server.addNode(name, podCIDRs, annotations),
  removeNode: (name: string) => server.removeNode(name),
  annotate: (name: string, annotations: Record<string, string>) =>
    server.change(name, ({ metadata }) => Object.assign(metadata.annotations, annotations)),
  setPodCIDRs: (name: string, podCIDRs: string[]) =>
    server.change(name, (node) => {
      node.spec = { podCIDR: podCIDRs[0] ?? '', podCIDRs };
    }),
};

for await (const line of createInterface(process.stdin)) {
  const [method, ...args] = JSON.parse(line) as [string, ...never[]];
  await methods[method]?.(...args);
  const held: Held = { url: server.url, nodes: Object.fromEntries(server.nodes), bodies: server.bodies };
  process.stdout.write(`${JSON.stringify(held)}\n`);
}
