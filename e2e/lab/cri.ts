import path from 'node:path';
import { type ServiceError, credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** A host port of a pod. */
export interface HostPort {
  readonly containerPort: number;
  readonly hostPort: number;
}

export interface SandboxConfig {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly namespace: string;
    readonly attempt: number;
  };
  readonly hostname: string;
  readonly log_directory: string;
  readonly port_mappings: readonly { protocol: 'TCP'; container_port: number; host_port: number }[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly linux: { readonly cgroup_parent: string };
}

interface SandboxStatus {
  readonly id: string;
  readonly state: 'SANDBOX_READY' | 'SANDBOX_NOTREADY';
  readonly network: {
    readonly ip: string;
    readonly additional_ips: readonly { readonly ip: string }[];
  } | null;
}

export interface Condition {
  readonly type: string;
  readonly status: boolean;
  readonly reason: string;
  readonly message: string;
}

interface Sandbox {
  readonly id: string;
  readonly metadata: { readonly name: string };
  readonly state: string;
}

/** Method -> [request, response], as cri.proto has them. */
interface Methods {
  Version: [object, { runtime_name: string; runtime_version: string }];
  Status: [object, { status: { conditions: readonly Condition[] } }];
  RunPodSandbox: [{ config: SandboxConfig }, { pod_sandbox_id: string }];
  StopPodSandbox: [{ pod_sandbox_id: string }, object];
  RemovePodSandbox: [{ pod_sandbox_id: string }, object];
  PodSandboxStatus: [
    { pod_sandbox_id: string; verbose: boolean },
    { status: SandboxStatus; info: Record<string, string> },
  ];
  ListPodSandbox: [object, { items: readonly Sandbox[] }];
  CreateContainer: [object, { container_id: string }];
  StartContainer: [{ container_id: string }, object];
  ExecSync: [
    { container_id: string; cmd: readonly string[]; timeout: number },
    { stdout: Buffer; stderr: Buffer; exit_code: number },
  ];
}

type Callback = (error: ServiceError | null, response: never) => void;
type Invoke = (request: object, options: { deadline: number }, callback: Callback) => void;
type Client = Record<keyof Methods, Invoke> & {
  close(): void;
  waitForReady(deadline: number, done: (error?: Error) => void): void;
};

const definition = loadSync(path.join(import.meta.dirname, 'cri.proto'), {
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: true,
});

/** A CRI client on a unix socket: what kubelet is to containerd. */
export class Cri {
  readonly #client: Client;

  constructor(socket: string) {
    const { runtime } = loadPackageDefinition(definition) as never as {
      runtime: {
        v1: { RuntimeService: new (to: string, credentials: object, options: object) => Client };
      };
    };
    // the socket's path is no valid authority for containerd's gRPC server
    const options = {
      'grpc.default_authority': 'localhost',
      'grpc.initial_reconnect_backoff_ms': 20,
      'grpc.max_reconnect_backoff_ms': 100,
    };
    this.#client = new runtime.v1.RuntimeService(`unix://${socket}`, credentials.createInsecure(), options);
  }

  /** Throws gRPC's error, whose `details` are containerd's message. `seconds` is the request's deadline. */
  call<M extends keyof Methods>(method: M, request: Methods[M][0], seconds = 60): Promise<Methods[M][1]> {
    return new Promise((resolve, reject) => {
      this.#client[method](request, { deadline: Date.now() + seconds * 1000 }, (error, response) =>
        error === null ? resolve(response) : reject(error),
      );
    });
  }

  ready(seconds: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client.waitForReady(Date.now() + seconds * 1000, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** The node's network as kubelet sees it. */
  async network(): Promise<Condition> {
    const { status } = await this.call('Status', { verbose: false });
    const condition = status.conditions.find(({ type }) => type === 'NetworkReady');
    if (condition === undefined) throw new Error('containerd reports no NetworkReady condition');
    return condition;
  }

  close(): void {
    this.#client.close();
  }
}
