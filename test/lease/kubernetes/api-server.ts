import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Identity } from '../../kit/certificates.ts';

export interface FakeNode {
  metadata: {
    name: string;
    uid: string;
    resourceVersion: string;
    annotations: Record<string, unknown>;
    managedFields: unknown[];
  };
  spec: { podCIDR?: string; podCIDRs?: string[] };
  status: { conditions: unknown[]; images: unknown[] };
}

interface Event {
  readonly version: number;
  /** A line of a watch. */
  readonly text: string;
}

interface Watcher {
  readonly response: http.ServerResponse;
}

/** What a request meets in place of its answer. */
export type Trouble = (request: http.IncomingMessage, response: http.ServerResponse) => boolean;

/** What kubelet writes and nobody here needs: most of a real Node, 15 kB of it with 40 images. */
const images = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    names: [
      `registry.example/images/program-${i}@sha256:${'ab'.repeat(32)}`,
      `registry.example/images/program-${i}:v1`,
    ],
    sizeBytes: 12_345_678 + i,
  }));

/** The part of an API server that flannel uses, with Nodes in memory, on loopback; it misbehaves when it is told to. */
export class FakeApiServer {
  /** `GET /api/v1/nodes?limit=100`, in their order. */
  readonly requests: string[] = [];
  readonly bodies: string[] = [];
  readonly nodes = new Map<string, FakeNode>();
  readonly pods = new Map<string, string>();
  /** How many images a new Node has. */
  images = 2;
  /** Accepted tokens; undefined: everybody may come. */
  tokens: Set<string> | undefined;
  /** Looked at for each request; true: it has taken care of the request. */
  trouble: Trouble | undefined;
  #server: http.Server | undefined;
  #port = 0;
  #version = 100;
  #compacted = 0;
  #events: Event[] = [];
  readonly #watchers = new Set<Watcher>();
  readonly #sockets = new Set<Socket>();
  readonly #identity: Identity | undefined;
  readonly #host: string;

  constructor(identity?: Identity, host = '127.0.0.1') {
    this.#identity = identity;
    this.#host = host;
  }

  get url(): string {
    return `${this.#identity ? 'https' : 'http'}://${this.#host}:${this.#port}`;
  }

  async start(): Promise<void> {
    const serve = (request: http.IncomingMessage, response: http.ServerResponse) =>
      this.#serve(request, response);
    const server = this.#identity
      ? https.createServer({ ...this.#identity }, serve)
      : http.createServer(serve);
    this.#server = server;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve) => {
      server.listen(this.#port, this.#host, resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.reset();
    await new Promise((resolve) => {
      this.#server?.close(resolve);
    });
  }

  /** Cuts all connections. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#watchers.clear();
  }

  /** Makes a Node as kubelet and the controller manager do; `podCIDRs` follow from how many there are. */
  addNode(name: string, podCIDRs = this.#nextCIDRs(), annotations: Record<string, unknown> = {}): FakeNode {
    const [podCIDR] = podCIDRs;
    const node: FakeNode = {
      metadata: {
        name,
        uid: `uid-${name}-${this.#version}`,
        resourceVersion: '',
        annotations,
        managedFields: images(this.images),
      },
      spec: { ...(podCIDR !== undefined && { podCIDR, podCIDRs }) },
      status: { conditions: [], images: images(this.images) },
    };
    this.nodes.set(name, node);
    this.#happen('ADDED', node);
    return node;
  }

  /** Tells the watchers about a Node after `change`. */
  change(name: string, change: (node: FakeNode) => void): void {
    const node = this.#node(name);
    change(node);
    this.#happen('MODIFIED', node);
  }

  removeNode(name: string): void {
    const node = this.#node(name);
    this.nodes.delete(name);
    this.#happen('DELETED', node);
  }

  /** Tells the watchers how far things have come, which is further than any Node: other objects change as well. */
  bookmark(): void {
    const object = { kind: 'Node', metadata: { resourceVersion: `${++this.#version}` } };
    this.send(line('BOOKMARK', object));
  }

  /** Sends the watchers something of the test's own. */
  send(text: string): void {
    for (const { response } of this.#watchers) response.write(text);
  }

  /** Ends the watches as a server does after their time. */
  endWatches(): void {
    for (const { response } of this.#watchers) response.end();
    this.#watchers.clear();
  }

  /** Forgets what has happened so far: who comes back with an older version gets a 410. */
  compact(): void {
    this.#events = [];
    this.#compacted = this.#version;
  }

  get watching(): number {
    return this.#watchers.size;
  }

  #nextCIDRs(): string[] {
    const number = this.nodes.size + 1;
    return [`10.244.${number % 256}.0/24`, `fd00:244:0:${number.toString(16)}::/64`];
  }

  #node(name: string): FakeNode {
    const node = this.nodes.get(name);
    if (node === undefined) throw new Error(`the test's API server has no Node ${name}`);
    return node;
  }

  #happen(type: string, node: FakeNode): void {
    node.metadata.resourceVersion = `${++this.#version}`;
    const text = line(type, node);
    this.#events.push({ version: this.#version, text });
    this.send(text);
  }

  #serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { method = '', url = '' } = request;
    this.requests.push(`${method} ${url}`);
    if (this.trouble?.(request, response) === true) return;
    const token = request.headers.authorization?.replace('Bearer ', '');
    if (this.tokens !== undefined && !this.tokens.has(token ?? ''))
      return refuse(response, 401, 'Unauthorized');
    const { pathname, searchParams } = new URL(url, 'http://host');
    if (pathname === '/api/v1/nodes') {
      return searchParams.has('watch')
        ? this.#watch(response, searchParams)
        : this.#list(response, searchParams);
    }
    const [, pod] = /^\/api\/v1\/namespaces\/([^/]+\/pods\/[^/]+)$/.exec(pathname) ?? [];
    if (pod !== undefined) return this.#pod(response, pod.replace('/pods/', '/'));
    const [, name = '', isStatus] = /^\/api\/v1\/nodes\/([^/]+)(\/status)?$/.exec(pathname) ?? [];
    const node = this.nodes.get(decodeURIComponent(name));
    if (node === undefined) return refuse(response, 404, `nodes "${name}" not found`);
    if (method === 'PATCH' && isStatus !== undefined) return this.#patch(request, response, node);
    answer(response, { kind: 'Node', ...node });
  }

  #pod(response: http.ServerResponse, pod: string): void {
    const nodeName = this.pods.get(pod);
    if (nodeName === undefined) return refuse(response, 404, `pods "${pod}" not found`);
    answer(response, { kind: 'Pod', spec: { containers: [], nodeName } });
  }

  #list(response: http.ServerResponse, query: URLSearchParams): void {
    const limit = Number(query.get('limit') ?? this.nodes.size);
    const from = Number(query.get('continue') ?? 0);
    const all = [...this.nodes.values()];
    const next = from + limit < all.length ? { continue: `${from + limit}` } : {};
    const metadata = { resourceVersion: `${this.#version}`, ...next };
    answer(response, { kind: 'NodeList', metadata, items: all.slice(from, from + limit) });
  }

  #watch(response: http.ServerResponse, query: URLSearchParams): void {
    const from = Number(query.get('resourceVersion'));
    if (from < this.#compacted) return refuse(response, 410, 'too old resource version');
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const watcher = { response };
    this.#watchers.add(watcher);
    response.on('close', () => this.#watchers.delete(watcher));
    for (const { version, text } of this.#events) if (version > from) response.write(text);
  }

  #patch(request: http.IncomingMessage, response: http.ServerResponse, node: FakeNode): void {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      this.bodies.push(body);
      if (request.headers['content-type'] !== 'application/strategic-merge-patch+json') {
        return refuse(response, 415, 'the body of the request was in an unknown format');
      }
      const patch = JSON.parse(body) as {
        metadata?: FakeNode['metadata'];
        status?: { conditions: unknown[] };
      };
      Object.assign(node.metadata.annotations, patch.metadata?.annotations);
      node.status.conditions.push(...(patch.status?.conditions ?? []));
      this.#happen('MODIFIED', node);
      answer(response, { kind: 'Node', ...node });
    });
  }
}

const line = (type: string, object: unknown): string => `${JSON.stringify({ type, object })}\n`;

export function refuse(response: http.ServerResponse, code: number, message: string): void {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ kind: 'Status', status: 'Failure', message, code }));
}

function answer(response: http.ServerResponse, object: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(object)}\n`);
}
