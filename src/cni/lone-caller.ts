import { closeSync, constants, openSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Binding } from '../../native/binding.ts';
import * as k from '../netlink/constants.ts';
import { SyncSession } from '../netlink/session.ts';
import { adoptSocket } from '../netlink/socket.ts';
import type { Sysctl } from './attachment/sysctls.ts';
import { CniError, cniCodes } from './error.ts';
import type { Reply } from './launcher/frame.ts';
import { apply } from './attachment/link.ts';
import { identityOf } from './own-namespace.ts';
import { type Place, SysctlError, type Task, vanished } from './attachment/task.ts';
import type { Caller, PodNamespace, World } from './world.ts';

const { ENOENT, ENOTDIR, EINVAL } = { ENOENT: 2, ENOTDIR: 20, EINVAL: 22 };
/** f_type of fstatfs(2) on a namespace, as <linux/magic.h> has it. */
const NSFS_MAGIC = 0x6e736673;
const PROC_SUPER_MAGIC = 0x9fa0;

/** The stand-alone program as the verbs see it: it is root on the host, and does all by itself. */
export class LoneCaller implements Caller {
  readonly pod: PodNamespace;
  readonly podIsOwn: boolean;
  readonly isWarm = false;
  readonly #binding: Binding;
  readonly #environment: Readonly<NodeJS.ProcessEnv>;
  readonly #host: SyncSession;

  constructor(
    binding: Binding,
    environment: Readonly<NodeJS.ProcessEnv>,
    { host, hostNetns }: Pick<World, 'host' | 'hostNetns'>,
  ) {
    this.#binding = binding;
    this.#host = host;
    this.#environment = environment;
    this.pod = openNamespace(binding, environment['CNI_NETNS'] ?? '');
    this.podIsOwn = this.pod.state === 'open' && identityOf(this.pod.fdOfCaller) === hostNetns;
  }

  begin(): void {}

  aborted(): boolean {
    return false;
  }

  expect(): void {}

  expectSame(): void {}

  /** This process does all by itself. */
  readonly start = undefined;

  async perform(tasks: readonly Task[]): Promise<boolean> {
    for (const task of tasks) this.#do(task);
    return false;
  }

  /** Now: this process ends with its answer. */
  afterwards(work: () => Promise<void>): Promise<void> {
    return work();
  }

  #do(task: Task): void {
    switch (task.task) {
      case 'sysctl':
        return this.#write(task.sysctl);
      case 'steps':
        return apply(this.#sessionIn(task.where), task.steps);
      case 'stepsOn': {
        const session = this.#sessionIn(task.where);
        const ifindex = session.indexOf(task.link);
        if (ifindex === undefined) throw vanished(task.link);
        return apply(session, task.steps(ifindex), task.link);
      }
      case 'exchange':
      // Nobody else is waiting for what would be faster.
    }
  }

  /** Answers 0 or a positive errno. */
  protected writeSysctl({ where, path: name, value }: Sysctl): number {
    const podFd = this.pod.state === 'open' ? this.pod.fdOfCaller : -1;
    return -this.#binding.writeInNetns(where === 'pod' ? podFd : -1, `/proc/sys/${name}`, value);
  }

  #write(sysctl: Sysctl): void {
    const errno = this.writeSysctl(sysctl);
    if (errno !== 0 && sysctl.required) throw new SysctlError(sysctl, errno);
  }

  #sessionIn(where: Place): SyncSession {
    if (where === 'host') return this.#host;
    if (this.pod.state === 'open') return this.pod.session;
    throw new Error('the pod has no network namespace');
  }

  expectDelegate(type: string): void {
    findPlugin(type, this.#environment['CNI_PATH'] ?? '');
  }

  async delegate(type: string, configuration: string, verb?: string): Promise<Reply> {
    const program = findPlugin(type, this.#environment['CNI_PATH'] ?? '');
    const env = { ...this.#environment, ...(verb !== undefined && { CNI_COMMAND: verb }) };
    return new Promise((resolve, reject) => {
      const { spawn } = process.getBuiltinModule('node:child_process');
      const child = spawn(program, [], { env, stdio: ['pipe', 'pipe', 'inherit'] });
      let stdout = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      child.on('error', (error) =>
        reject(new CniError(cniCodes.internal, `cannot run ${program}: ${error.message}`)),
      );
      child.on('close', (code) => resolve({ status: code ?? 1, stdout, stderr: '' }));
      // A plugin may end without reading its input.
      child.stdin.on('error', () => {});
      child.stdin.end(configuration);
    });
  }

  close(): void {
    if (this.pod.state !== 'open') return;
    this.pod.session.close();
    closeSync(this.pod.fdOfCaller);
  }
}

/** As the launcher does it for the daemon. O_NONBLOCK because a FIFO under that name must not hold us. */
function openNamespace(binding: Binding, netns: string): PodNamespace {
  if (netns === '') return { state: 'absent' };
  let fd: number;
  try {
    fd = openSync(netns, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    const errno = -((error as NodeJS.ErrnoException).errno ?? -EINVAL);
    return errno === ENOENT || errno === ENOTDIR ? { state: 'missing' } : { state: 'error', errno };
  }
  const isNamespace = [NSFS_MAGIC, PROC_SUPER_MAGIC].includes(binding.filesystemType(fd));
  const socket = isNamespace ? binding.openNetlink(k.NETLINK_ROUTE, fd) : -EINVAL;
  if (socket >= 0)
    return { state: 'open', fdOfCaller: fd, session: new SyncSession(adoptSocket(binding, socket)) };
  closeSync(fd);
  return socket === -EINVAL ? { state: 'foreign' } : { state: 'error', errno: -socket };
}

/** The first regular file of that name in CNI_PATH. Throws a CniError. */
function findPlugin(type: string, cniPath: string): string {
  if (type.includes('/')) throw new CniError(cniCodes.badConfiguration, `invalid plugin name: ${type}`);
  const directories = cniPath.split(':').filter(Boolean);
  const found = directories
    .map((directory) => path.join(directory, type))
    .find((file) => statSync(file, { throwIfNoEntry: false })?.isFile() === true);
  if (found !== undefined) return found;
  throw new CniError(
    cniCodes.badConfiguration,
    `failed to find plugin "${type}" in path [${directories.join(' ')}]`,
    'install it in one of these directories, or correct the "type" in the network configuration',
  );
}
