import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Held } from './api-server-process.ts';
import type { Cluster } from './cluster.ts';

/** The API server of {@link file://./api-server-process.ts}, in a namespace. */
export class Api {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  private constructor(namespace: string) {
    const script = path.join(import.meta.dirname, 'api-server-process.ts');
    const command = [`--net=${namespace}`, process.execPath, script, '192.0.2.254'];
    this.#child = spawn('nsenter', command, { stdio: ['pipe', 'pipe', 'inherit'] });
    if (this.#child.stdout === null) throw new Error('the API server has no output');
    this.#answers = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  /** Starts it on the bridge of a cluster, whose nodes keep their leases there from now on. */
  static async start(cluster: Cluster): Promise<Api> {
    await cluster.underlay.exec('ip', 'addr', 'add', '192.0.2.254/24', 'dev', 'br0');
    const api = new Api(cluster.underlay.path);
    const { url } = await api.tell('start');
    cluster.registry = [
      `--net-config-path=${cluster.file('net-conf.json')}`,
      '--kube-subnet-mgr',
      `--kubeconfig-file=${cluster.file('kubeconfig')}`,
    ];
    const kubeconfig = `
current-context: here
contexts: [{name: here, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "${url}"}}]
users: [{name: u, user: {token: t}}]
`;
    fs.writeFileSync(cluster.file('kubeconfig'), kubeconfig, { mode: 0o600 });
    return api;
  }

  async tell(...command: unknown[]): Promise<Held> {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
    const { value } = await this.#answers.next();
    return JSON.parse(String(value)) as Held;
  }

  async end(): Promise<void> {
    const closed = new Promise((resolve) => {
      this.#child.once('close', resolve);
    });
    this.#child.kill('SIGKILL');
    await closed;
  }
}
