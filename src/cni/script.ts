import { constants } from 'node:os';
import { NetlinkError } from '../netlink/error.ts';
import { placeOfIndex, refusalOf, relayed } from '../netlink/relay.ts';
import { requestOf, type Step } from './attachment-step.ts';
import { StepError } from './link.ts';
import type { Sysctl } from './attachment-sysctls.ts';
import { type Place, SysctlError, type Task, vanished } from './task.ts';

/** One thing for the launcher to do, and what it means when that fails with an errno and, perhaps, words of the kernel. */
interface Line {
  readonly bytes: Uint8Array;
  refusal(errno: number, answer: Uint8Array): Error;
}

/** Tasks as the launcher reads them: docs/launcher-protocol.md, WORK. */
export class Script {
  readonly #before: readonly Line[];
  readonly #lines: readonly Line[];

  /** `before`: what the launcher does first, and says nothing about. */
  constructor(tasks: readonly Task[], before?: Script) {
    this.#before = before === undefined ? [] : [...before.#before, ...before.#lines];
    this.#lines = tasks.flatMap(linesOf);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#lines.map(({ bytes }) => bytes));
  }

  /** What went wrong when so many were done, those before counted, and the next one failed; undefined when all are done. */
  outcome(done: number, errno: number, answer: Uint8Array): Error | undefined {
    return [...this.#before, ...this.#lines][done]?.refusal(errno, answer);
  }
}

function linesOf(task: Task): Line[] {
  switch (task.task) {
    case 'sysctl':
      return [sysctlLine(task.sysctl)];
    case 'exchange':
      return [exchangeLine(task.sysctl, task.before)];
    case 'steps':
      return task.steps.map((step) => stepLine(task.where, step));
    case 'stepsOn':
      return [linkLine(task), ...task.steps(0).map((step) => stepLine(task.where, step, task.link))];
  }
}

const letter = (where: Place): string => (where === 'pod' ? 'p' : 'h');

function sysctlLine(sysctl: Sysctl): Line {
  const { where, path, value, required } = sysctl;
  const text = `s${letter(where)}${required ? '\x01' : '\0'}${path}\0${value}\0`;
  return { bytes: Buffer.from(text), refusal: (errno) => new SysctlError(sysctl, errno) };
}

const exchangeLine = (sysctl: Sysctl, before: string): Line => ({
  bytes: Buffer.from(`x${letter(sysctl.where)}${sysctl.path}\0${before}\0${sysctl.value}\0`),
  refusal: (errno) => new SysctlError(sysctl, errno),
});

function linkLine({ where, link }: Task & { task: 'stepsOn' }): Line {
  const refusal = (errno: number) =>
    errno === constants.errno.ENODEV ? vanished(link) : new NetlinkError(`looking for ${link}`, errno);
  return { bytes: Buffer.from(`l${letter(where)}${link}\0`), refusal };
}

/** `link`: the launcher puts the index of that one in, which it looked for last. */
function stepLine(where: Place, step: Step, link?: string): Line {
  const request = requestOf(step);
  const message = relayed(request);
  const bytes = Buffer.allocUnsafe(14 + message.length);
  bytes.write(`m${letter(where)}`, 'latin1');
  bytes.writeUInt32LE(toleratedBy(step), 2);
  bytes.writeUInt32LE(link === undefined ? 0 : placeOfIndex(request), 6);
  bytes.writeUInt32LE(message.length, 10);
  bytes.set(message, 14);
  return { bytes, refusal: (errno, answer) => new StepError(step, refusalOf(request, errno, answer), link) };
}

/** 0 for none. */
const toleratedBy = ({ tolerate }: Step): number => (tolerate === undefined ? 0 : constants.errno[tolerate]);
