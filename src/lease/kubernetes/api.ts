import type { HttpClient, HttpRequest } from '../../http/client.ts';
import { HttpError } from '../../http/error.ts';
import type { HttpAnswer } from '../../http/exchange.ts';
import { asObject, isObject, JsonError, type JsonObject, parseJson } from '../../json/go-json.ts';
import { Each, JsonSkim, type Wanted, type WantedMembers } from '../../json/skim.ts';
import { SkimError } from '../../json/skim-error.ts';
import { RegistryError } from '../registry.ts';
import type { AnnotationKeys } from './annotations.ts';
import { type NodeObject, nodeOf, parseNode, wantedOfNode } from './node-object.ts';

/** The API server has refused: `status` is HTTP's. */
export class ApiError extends RegistryError {
  readonly status: number;

  constructor(message: string, status: number) {
    super(message, { withoutSubnet: status === 404 });
    this.status = status;
  }
}

/** What a watch tells. */
export type NodeEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly node: NodeObject }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

/** A Node's part that we keep may be as long as this, in bytes: annotations are limited to 256 KiB, escapes make them longer. */
const longestNode = 2 * 1024 * 1024;
/** Nodes a page, so that neither side holds many at once. */
const pageSize = 100;
/** More Nodes than any cluster has: an answer that does not end fills no memory. */
const mostNodes = 100_000;
/** For one object, in milliseconds: a start with the lease last known waits for two such failures. */
const impatient = { connect: 4_000, silence: 10_000 } as const;
/** A watch is silent for about a minute at most, as bookmarks come; so many milliseconds are no honest silence. */
const watchSilence = 180_000;

/** The part of the Kubernetes API that flannel needs, with errors that say what to do. All methods reject with a {@link RegistryError}. */
export class KubernetesApi {
  readonly #http: HttpClient;
  readonly #wanted: WantedMembers;

  constructor(http: HttpClient, keys: AnnotationKeys) {
    this.#http = http;
    this.#wanted = wantedOfNode(keys);
  }

  async node(name: string): Promise<NodeObject> {
    const request = { ...impatient, method: 'GET', path: nodePath(name) } as const;
    const right = { verb: 'get', resource: 'nodes' };
    return this.#one(
      request,
      right,
      `there is no Node "${name}": kubelet makes it; is that its name (--node-name)?`,
    );
  }

  /** Merges `change` into the Node's metadata or status; answers the Node as it is then. */
  async patchNode(name: string, change: object): Promise<NodeObject> {
    const request = {
      ...impatient,
      method: 'PATCH',
      path: `${nodePath(name)}/status`,
      headers: { 'content-type': 'application/strategic-merge-patch+json' },
      body: JSON.stringify(change),
    } as const;
    return this.#one(
      request,
      { verb: 'patch', resource: 'nodes/status' },
      `there is no Node "${name}" any more`,
    );
  }

  /** On which node a pod runs. */
  async nodeOfPod(namespace: string, pod: string): Promise<string> {
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}`;
    let name: unknown;
    const skim = this.#skim({ spec: { nodeName: true } }, (text) => {
      name = objectIn(parseJson(text, 'the pod'), 'spec')['nodeName'];
    });
    const missing = `there is no pod ${namespace}/${pod}: POD_NAMESPACE and POD_NAME must name the pod that flanneld runs in`;
    await this.#read({ method: 'GET', path }, { verb: 'get', resource: 'pods' }, missing, skim);
    if (typeof name === 'string' && name !== '') return name;
    throw new RegistryError(
      `the pod ${namespace}/${pod} has no spec.nodeName: set NODE_NAME from it (or --node-name)`,
    );
  }

  /** All Nodes, page by page; those that cannot be read are left out. Answers the resourceVersion from which a watch goes on. */
  async list(onNode: (node: NodeObject) => void, signal: AbortSignal): Promise<string> {
    let count = 0;
    for (let token = ''; ; ) {
      let page: JsonObject = {};
      const each = new Each(this.#wanted, (text) => {
        if (++count > mostNodes) throw new SkimError(`it lists more than ${mostNodes} Nodes`);
        const node = readable(() => parseNode(text));
        if (node !== undefined) onNode(node);
      });
      const wanted: Wanted = { metadata: { resourceVersion: true, continue: true }, items: each };
      const skim = this.#skim(wanted, (text) => {
        const list = asObject(parseJson(text, 'the list of Nodes'), 'the list of Nodes');
        if ('items' in list) page = objectIn(list, 'metadata');
      });
      const path = `/api/v1/nodes?limit=${pageSize}${token === '' ? '' : `&continue=${encodeURIComponent(token)}`}`;
      await this.#read({ method: 'GET', path, signal }, { verb: 'list', resource: 'nodes' }, noNodes, skim);
      const resourceVersion = textIn(page, 'resourceVersion');
      // An answer of somebody in between: it must not pass for a cluster without Nodes, or every peer would go.
      if (resourceVersion === '') throw new RegistryError(noList);
      token = textIn(page, 'continue');
      if (token === '') return resourceVersion;
    }
  }

  /** Follows the Nodes; resolves when the server ends it, as it does after `seconds`. What `onEvent` throws ends it too. */
  async watch(
    from: { readonly resourceVersion: string; readonly seconds: number },
    onEvent: (event: NodeEvent) => void,
    { signal, onBegin }: { readonly signal: AbortSignal; readonly onBegin: () => void },
  ): Promise<void> {
    const query = `watch=1&allowWatchBookmarks=true&timeoutSeconds=${from.seconds}`;
    const path = `/api/v1/nodes?${query}&resourceVersion=${encodeURIComponent(from.resourceVersion)}`;
    const object: Wanted = { ...this.#wanted, message: true };
    const skim = this.#skim({ type: true, object }, (text) => {
      const event = eventOf(text);
      if (event !== undefined) onEvent(event);
    });
    const request = { method: 'GET', path, signal, bodySilence: watchSilence } as const;
    await this.#read(request, { verb: 'watch', resource: 'nodes' }, noNodes, skim, onBegin);
  }

  async #one(request: HttpRequest, right: Right, missing: string): Promise<NodeObject> {
    let node: NodeObject | undefined;
    const skim = this.#skim(this.#wanted, (text) => {
      node = parseNode(text);
    });
    await this.#read(request, right, missing, skim);
    if (node === undefined) throw new RegistryError(`${request.method} ${request.path}: the answer is empty`);
    return node;
  }

  #skim(wanted: Wanted, onDocument: (text: string) => void): JsonSkim {
    return new JsonSkim({ wanted, longest: longestNode, onDocument });
  }

  async #read(
    request: HttpRequest,
    right: Right,
    missing: string,
    skim: JsonSkim,
    onBegin?: () => void,
  ): Promise<void> {
    try {
      const answer = await this.#http.request(request);
      if (answer.status !== 200) throw await refusal(request, answer, right, missing);
      onBegin?.();
      for await (const chunk of answer.body) skim.take(chunk);
      skim.end();
    } catch (error) {
      if (error instanceof HttpError) throw new RegistryError(error.message, { cause: error });
      if (error instanceof SkimError || error instanceof JsonError) {
        const what = `${request.method} ${request.path.split('?')[0]}`;
        throw new RegistryError(`${what}: what answers there is no Kubernetes API: ${error.message}`, {
          cause: error,
        });
      }
      throw error;
    }
  }
}

/** What a role must allow. */
interface Right {
  readonly verb: string;
  readonly resource: string;
}

const nodePath = (name: string): string => `/api/v1/nodes/${encodeURIComponent(name)}`;
const noList = 'GET /api/v1/nodes: it lists no Nodes: what answers there is no Kubernetes API';
const noNodes = 'this API server has no Nodes: is it one of Kubernetes?';

async function refusal(
  request: HttpRequest,
  answer: HttpAnswer,
  right: Right,
  missing: string,
): Promise<ApiError> {
  const { status } = answer;
  const what = `${request.method} ${request.path.split('?')[0]}: ${status}`;
  const said = await messageIn(answer);
  const hint = status === 404 ? missing : hintFor(status, right);
  const sentences = [said, hint].filter((each) => each !== '').join('; ');
  return new ApiError(sentences === '' ? what : `${what}: ${sentences}`, status);
}

function hintFor(status: number, { verb, resource }: Right): string {
  if (status === 401) {
    return 'the API server does not accept the token or certificate: look at the service account, or the user in the kubeconfig';
  }
  return status === 403 ? `flanneld's ClusterRole must allow "${verb}" on "${resource}"` : '';
}

/**
 * What the server says about a refusal: a Status object's message. At most a few lines of it, and nothing that moves a terminal's
 * cursor.
 */
async function messageIn({ body }: HttpAnswer): Promise<string> {
  let text = '';
  try {
    for await (const chunk of body) {
      text += chunk.toString('latin1');
      if (text.length > 16_384) return '';
    }
    return printable(textIn(asObject(parseJson(Buffer.from(text, 'latin1'), 'the answer'), 'it'), 'message'));
  } catch (error) {
    if (error instanceof HttpError || error instanceof JsonError) return '';
    throw error;
  }
}

const printable = (text: string): string =>
  text.replace(/[^\x20-\x7e\u00a1-\u{10ffff}]+/gu, ' ').slice(0, 400);

/** A Node without a proper name concerns nobody: Kubernetes has none such. */
function readable(read: () => NodeObject): NodeObject | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof JsonError) return undefined;
    throw error;
  }
}

/**
 * Undefined for kinds of events that are not there yet. A watch that has failed, for whatever reason, cannot go on from its
 * place: an {@link ApiError} 410.
 */
function eventOf(text: string): NodeEvent | undefined {
  const event = asObject(parseJson(text, 'an event'), 'an event');
  const { type } = event;
  const object = asObject(event['object'], "an event's object");
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED': {
      const node = readable(() => nodeOf(object));
      return node && { type, node };
    }
    case 'BOOKMARK':
      return { type, resourceVersion: textIn(objectIn(object, 'metadata'), 'resourceVersion') };
    case 'ERROR':
      throw new ApiError(`the watch of Nodes failed: ${printable(textIn(object, 'message'))}`, 410);
    default:
      return undefined;
  }
}

function objectIn(value: unknown, key: string): JsonObject {
  const member = isObject(value) ? value[key] : undefined;
  return isObject(member) ? member : {};
}

function textIn(object: JsonObject, key: string): string {
  const value = object[key];
  return typeof value === 'string' ? value : '';
}
