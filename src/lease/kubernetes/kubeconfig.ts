import path from 'node:path';
import type { Pem } from '../../http/tls.ts';
import { asObject, isObject, JsonError, type JsonObject, kindOf } from '../../json/go-json.ts';
import { hasQueryOrFragment, type KubernetesAccess } from './access.ts';

/** A kubeconfig that cannot be used: every finding, one a line. */
export class KubeconfigError extends Error {
  override readonly name = 'KubeconfigError';

  constructor(file: string, findings: readonly string[]) {
    super(findings.map((finding) => `${file}: ${finding}`).join('\n'));
  }
}

/**
 * What the current context of a kubeconfig says, read by kubectl's rules: `-data` goes before the file, a token's file before
 * the token, files are relative to the kubeconfig. `document` is the parsed YAML, in which scalars
 * are still the words that are written; `server` takes the place of the cluster's. Throws a {@link KubeconfigError}.
 */
export function accessFromKubeconfig(document: unknown, file: string, server = ''): KubernetesAccess {
  const reader = new Reader(path.dirname(file));
  const access = reader.guarded(() => accessOf(asObject(document, 'the file'), reader, server));
  if (access === undefined || reader.findings.length > 0) throw new KubeconfigError(file, reader.findings);
  return access;
}

function accessOf(config: JsonObject, reader: Reader, server: string): KubernetesAccess {
  const context = currentContext(config, reader);
  const cluster = reader.named(config, 'clusters', 'cluster', context.cluster);
  const user = reader.named(config, 'users', 'user', context.user);
  reader.refuse(cluster, `the cluster ${quote(context.cluster)}`, {
    'proxy-url': 'proxies are not used: leave it out',
  });
  reader.refuse(user, `the user ${quote(context.user)}`, refused);
  const ca = reader.pem(cluster, 'certificate-authority');
  const cert = reader.pem(user, 'client-certificate');
  const key = reader.pem(user, 'client-key');
  if ((cert === undefined) !== (key === undefined)) {
    reader.findings.push('client-certificate and client-key belong together: give both or none');
  }
  const serverName = reader.text(cluster, 'tls-server-name');
  const insecure = reader.flag(cluster, 'insecure-skip-tls-verify');
  if (insecure && ca !== undefined) {
    reader.findings.push(
      'certificate-authority and insecure-skip-tls-verify contradict each other: give one of them',
    );
  }
  const token = tokenOf(user, reader);
  return {
    server: serverOf(server || reader.text(cluster, 'server'), reader),
    tls: {
      ...(ca && { ca }),
      ...(cert && { cert }),
      ...(key && { key }),
      ...(serverName !== '' && { serverName }),
      ...(insecure && { insecure }),
    },
    ...(token && { token }),
  };
}

/** Ways to prove who one is that a daemon has no use for. */
const refused: Readonly<Record<string, string>> = {
  exec: 'flanneld runs no program to prove who it is: use a token, a tokenFile or a client certificate',
  'auth-provider': 'Kubernetes has dropped it: use a token, a tokenFile or a client certificate',
  username: 'Kubernetes has dropped passwords: use a token, a tokenFile or a client certificate',
  as: 'flanneld acts for nobody else: give it a user of its own',
};

function currentContext(config: JsonObject, reader: Reader): { cluster: string; user: string } {
  const current = reader.text(config, 'current-context');
  if (current === '') throw new JsonError('current-context is missing: name one of the contexts');
  const context = reader.named(config, 'contexts', 'context', current);
  return { cluster: reader.text(context, 'cluster'), user: reader.text(context, 'user') };
}

function tokenOf(user: JsonObject, reader: Reader): KubernetesAccess['token'] {
  const [text, file] = [reader.text(user, 'token'), reader.text(user, 'tokenFile')];
  if (file !== '') return { file: reader.resolve(file) };
  return text === '' ? undefined : { text };
}

function serverOf(text: string, reader: Reader): string {
  if (text.includes('@')) {
    // The server stands in the log and in the status.
    reader.findings.push(
      "the server's URL has somebody's name or password in it: use a token or a tokenFile",
    );
    return '';
  }
  if (!/^https?:\/\/[^/]/.test(text) || !URL.canParse(text)) {
    reader.findings.push(`the server ${quote(text)} is no URL: it looks like https://10.0.0.1:6443`);
  } else if (hasQueryOrFragment(text)) {
    reader.findings.push(
      `the server ${quote(text)} has a query or a fragment, which is of no use: leave it out`,
    );
  }
  return text;
}

const quote = (text: string): string => JSON.stringify(text.slice(0, 100));

/** How YAML writes nothing, as words. */
const absent: ReadonlySet<unknown> = new Set([undefined, '', 'null', '~']);

/** Takes fields out, and collects what is wrong with them. */
class Reader {
  readonly findings: string[] = [];
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  guarded<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      this.findings.push(error.message);
      return undefined;
    }
  }

  resolve(file: string): string {
    return path.resolve(this.#directory, file);
  }

  /** One of a list of named things; empty when no name is asked for. */
  named(config: JsonObject, list: string, kind: string, name: string): JsonObject {
    if (name === '') return {};
    const all = config[list];
    const objects = Array.isArray(all) ? all.filter(isObject) : [];
    const found = objects.find((each) => each['name'] === name);
    if (found === undefined) throw new JsonError(`there is no ${kind} ${quote(name)} in ${list}`);
    return asObject(found[kind], `the ${kind} ${quote(name)}`);
  }

  text(object: JsonObject, key: string): string {
    const value = object[key];
    if (absent.has(value)) return '';
    if (typeof value === 'string') return value;
    this.findings.push(`${key} must be a string, and is ${kindOf(value)}`);
    return '';
  }

  flag(object: JsonObject, key: string): boolean {
    const text = this.text(object, key).toLowerCase();
    if (text !== '' && text !== 'true' && text !== 'false')
      this.findings.push(`${key} must be true or false`);
    return text === 'true';
  }

  pem(object: JsonObject, key: string): Pem | undefined {
    const data = this.text(object, `${key}-data`);
    const file = this.text(object, key);
    if (data === '') return file === '' ? undefined : { file: this.resolve(file) };
    const text = Buffer.from(data, 'base64').toString();
    if (!text.includes('-----BEGIN ')) this.findings.push(`${key}-data is not PEM in base64`);
    return { text };
  }

  refuse(object: JsonObject, where: string, keys: Readonly<Record<string, string>>): void {
    for (const [key, why] of Object.entries(keys)) {
      if (!absent.has(object[key])) this.findings.push(`${where} has ${key}: ${why}`);
    }
  }
}
