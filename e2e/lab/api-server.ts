import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import { HttpClient } from '../../src/http/client.ts';
import { systemClock } from '../../src/world/clock.ts';
import { Authority } from '../../test/kit/certificates.ts';
import { freePort } from '../../test/kit/free-port.ts';
import { repository } from './binary.ts';
import { until } from './command.ts';
import { Door } from './door.ts';
import { gateway } from './underlay.ts';

/** One of the programs of Kubernetes that scripts/go-tools.mjs builds. */
export const kubernetesProgram = (name: string): string =>
  path.join(repository, '.cache/e2e/kubernetes', name);

/** Why there is no API server here; undefined when there is. */
export const noApiServer: string | undefined = existsSync(kubernetesProgram('kube-apiserver'))
  ? undefined
  : "Kubernetes' API server is not built: Go is missing or older than e2e/kubernetes/go.mod asks for";

/** The address of the service `kubernetes`, at which pods look for the API server. */
export const serviceAddress = '10.96.0.1';

/** Where the kinds of objects that a manifest of ours has are made. */
const collections: Readonly<Record<string, string>> = {
  Namespace: '/api/v1/namespaces',
  ServiceAccount: '/api/v1/namespaces/kube-flannel/serviceaccounts',
  ConfigMap: '/api/v1/namespaces/kube-flannel/configmaps',
  ClusterRole: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  ClusterRoleBinding: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
  DaemonSet: '/apis/apps/v1/namespaces/kube-flannel/daemonsets',
};

const nodeNames = ['node-1', 'node-2', 'node-3'];
/** The token of a lab node's kubelet. */
export const nodeToken = (name: string): string => `${name}-token`;

/** Kubernetes' API server on Debian's etcd, on loopback, in a directory of its own; without anything else of a cluster. */
export class ApiServer {
  readonly url: string;
  readonly authority: string;
  /** User names to tokens: `admin` may do anything, `flannel` what its roles say, `stranger` nothing. Kubelets have {@link nodeToken}. */
  readonly tokens = { admin: 'admin-token', flannel: 'flannel-token', stranger: 'stranger-token' } as const;
  /** Its files: `ca.crt`, `sa.key`, `admin.kubeconfig`. */
  readonly directory: string;
  readonly #children: ChildProcess[] = [];
  readonly #doors: Door[] = [];
  readonly #admin: HttpClient;

  private constructor(directory: string, port: number, authority: Authority) {
    this.directory = directory;
    this.url = `https://127.0.0.1:${port}`;
    this.authority = authority.cert;
    this.#admin = new HttpClient({
      servers: [this.url],
      tls: { ca: { text: authority.cert } },
      headers: () => ({ authorization: `Bearer ${this.tokens.admin}` }),
      readFile: (file) => readFileSync(file, 'utf8'),
      clock: systemClock,
    });
  }

  static async start(): Promise<ApiServer> {
    // Named so that the next lab removes what this process, if it is killed, leaves.
    const directory = mkdtempSync(path.join(tmpdir(), `fl-e2e-${process.pid}-api`));
    const [client, peer, api] = await Promise.all([freePort(), freePort(), freePort()]);
    const authority = new Authority('lab');
    const server = new ApiServer(directory, api, authority);
    try {
      server.startBeside('etcd', [
        `--data-dir=${directory}/etcd`,
        '--unsafe-no-fsync',
        '--log-level=warn',
        `--listen-client-urls=http://127.0.0.1:${client}`,
        `--advertise-client-urls=http://127.0.0.1:${client}`,
        `--listen-peer-urls=http://127.0.0.1:${peer}`,
        `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
        `--initial-cluster=default=http://127.0.0.1:${peer}`,
      ]);
      server.#prepare(authority);
      server.startBeside(kubernetesProgram('kube-apiserver'), server.#flags(api, client));
      await until('an API server that is ready', 90, async () => {
        const answer = await server.#admin.text({ method: 'GET', path: '/readyz' }).catch(() => undefined);
        return answer?.status === 200 || undefined;
      });
      return server;
    } catch (error) {
      const log = [server.tail('etcd'), server.tail('kube-apiserver')].join('\n');
      await server.stop();
      throw new Error(`the API server did not start: ${(error as Error).message}\n${log}`, { cause: error });
    }
  }

  /** A request of the administrator; its answer must be good. */
  async ask(
    method: 'GET' | 'POST' | 'PATCH',
    where: string,
    object?: object,
  ): Promise<Record<string, unknown>> {
    const type = method === 'PATCH' ? 'application/strategic-merge-patch+json' : 'application/json';
    const body = object === undefined ? {} : { body: JSON.stringify(object) };
    const { status, text } = await this.#admin.text({
      method,
      path: where,
      headers: { 'content-type': type },
      ...body,
    });
    if (status >= 300) throw new Error(`${method} ${where}: ${status} ${text}`);
    return JSON.parse(text) as Record<string, unknown>;
  }

  /** How to get at it under that URL, with a token. JSON is YAML. */
  kubeconfig(url: string, token: string): string {
    const authority = Buffer.from(this.authority).toString('base64');
    return JSON.stringify({
      'current-context': 'lab',
      contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'lab' } }],
      clusters: [{ name: 'lab', cluster: { server: url, 'certificate-authority-data': authority } }],
      users: [{ name: 'lab', user: { token } }],
    });
  }

  /** Makes every object of a YAML file of this repository, in other words where `edit` has some. */
  async apply(file: string, edit = (text: string) => text): Promise<void> {
    for (const document of parseAllDocuments(edit(readFileSync(path.join(repository, file), 'utf8')))) {
      const object = document.toJS() as { kind: string };
      await this.ask('POST', collections[object.kind] ?? '', object);
    }
  }

  /** Removing is no method of our client. */
  async remove(where: string): Promise<void> {
    const { default: https } = await import('node:https');
    await new Promise<void>((resolve, reject) => {
      const headers = { authorization: `Bearer ${this.tokens.admin}` };
      const request = https.request(`${this.url}${where}`, { method: 'DELETE', headers, ca: this.authority });
      request.on('response', (response) => response.resume().on('end', resolve));
      request.on('error', reject);
      request.end();
    });
  }

  /** Makes it reachable in a named network namespace as well, at an address that is there. */
  async enter(netns: string, host: string): Promise<string> {
    const to = Number(new URL(this.url).port);
    const directory = this.directory;
    this.#doors.push(await Door.open({ netns, host, port: 6443, to, directory }));
    return `https://${host.includes(':') ? `[${host}]` : host}:6443`;
  }

  async stop(): Promise<void> {
    this.#admin.close();
    await Promise.all(this.#doors.map((door) => door.close()));
    // SIGKILL: an API server without its etcd takes minutes to end.
    await Promise.all(this.#children.map((child) => ended(child, () => child.kill('SIGKILL'))));
    rmSync(this.directory, { recursive: true, force: true });
  }

  #prepare(authority: Authority): void {
    const write = (name: string, text: string) =>
      writeFileSync(path.join(this.directory, name), text, { mode: 0o600 });
    const { cert, key } = authority.issue('kube-apiserver', {
      names: ['127.0.0.1', gateway.v4, gateway.v6, serviceAddress],
    });
    write('ca.crt', authority.cert);
    write('admin.kubeconfig', this.kubeconfig(this.url, this.tokens.admin));
    write('api.crt', cert);
    write('api.key', key);
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    write('sa.key', privateKey.export({ type: 'sec1', format: 'pem' }));
    write('sa.pub', publicKey.export({ type: 'spki', format: 'pem' }));
    const { admin, flannel, stranger } = this.tokens;
    // The name of the service account in deploy/kube-flannel.yml.
    const account = 'system:serviceaccount:kube-flannel:flannel';
    const users = [`${admin},admin,1,"system:masters"`, `${flannel},${account},2`, `${stranger},stranger,3`];
    const nodes = nodeNames.map((name) => `${nodeToken(name)},system:node:${name},${name},"system:nodes"`);
    write('tokens.csv', `${[...users, ...nodes].join('\n')}\n`);
  }

  #flags(port: number, etcd: number): string[] {
    const directory = this.directory;
    return [
      `--etcd-servers=http://127.0.0.1:${etcd}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      '--endpoint-reconciler-type=none',
      `--tls-cert-file=${directory}/api.crt`,
      `--tls-private-key-file=${directory}/api.key`,
      `--token-auth-file=${directory}/tokens.csv`,
      '--authorization-mode=Node,RBAC',
      '--enable-admission-plugins=NodeRestriction',
      '--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${directory}/sa.pub`,
      `--service-account-signing-key-file=${directory}/sa.key`,
    ];
  }

  /** A program that belongs to the API server and ends with it; its output goes into the directory. */
  startBeside(file: string, args: readonly string[]): void {
    const log = openSync(path.join(this.directory, `${path.basename(file)}.log`), 'a', 0o600);
    // It ends with this process, even when that one is killed.
    const command = ['--pdeathsig', 'KILL', '--', file, ...args];
    this.#children.push(spawn('setpriv', command, { stdio: ['ignore', log, log], cwd: this.directory }));
    closeSync(log);
  }

  /** The end of a program's output, for error messages. */
  tail(name: string): string {
    const file = path.join(this.directory, `${name}.log`);
    return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n').slice(-10).join('\n') : '';
  }
}

function ended(child: ChildProcess, end: () => void): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once('close', () => resolve());
    child.once('error', () => resolve());
    end();
  });
}
