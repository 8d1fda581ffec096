import { constants } from 'node:os';
import { NetlinkError } from '../../netlink/error.ts';
import { placeOfIndex, refusalOf, writeRelayed } from '../../netlink/relay.ts';
import { Writer } from '../../netlink/writer.ts';
import { requestOf, type Step } from '../attachment/step.ts';
import { StepError } from '../attachment/link.ts';
import type { Sysctl } from '../attachment/sysctls.ts';
import { type Place, SysctlError, type Task, vanished } from '../attachment/task.ts';

/** What it means when a line fails with an errno and, perhaps, words of the kernel. */
type Refusal = (errno: number, answer: Uint8Array) => Error;

/** Tasks as the launcher reads them: docs/launcher-protocol.md, WORK. */
export class Script {
  readonly #writer = new Writer(1024);
  /** One for each line, those included that the launcher does first, and says nothing about. */
  readonly #refusals: Refusal[];

  /** `before`: what the launcher does first. */
  constructor(tasks: readonly Task[], before?: Script) {
    this.#refusals = before === undefined ? [] : [...before.#refusals];
    for (const task of tasks) this.#add(task);
  }

  get bytes(): Buffer {
    const { buffer, byteOffset, length } = this.#writer.written;
    return Buffer.from(buffer, byteOffset, length);
  }

  /** What went wrong when so many were done, those before counted, and the next one failed; undefined when all are done. */
  outcome(done: number, errno: number, answer: Uint8Array): Error | undefined {
    return this.#refusals[done]?.(errno, answer);
  }

  #add(task: Task): void {
    switch (task.task) {
      case 'sysctl':
        return this.#addSysctl(task.sysctl);
      case 'exchange':
        return this.#addExchange(task.sysctl, task.before);
      case 'steps':
        for (const step of task.steps) this.#addStep(task.where, step);
        return;
      case 'stepsOn':
        this.#addLink(task.where, task.link);
        for (const step of task.steps(0)) this.#addStep(task.where, step, task.link);
    }
  }

  #addSysctl(sysctl: Sysctl): void {
    const { where, path, value, required } = sysctl;
    this.#text(`s${letter(where)}${required ? '\x01' : '\0'}${path}\0${value}\0`);
    this.#refusals.push((errno) => new SysctlError(sysctl, errno));
  }

  #addExchange(sysctl: Sysctl, before: string): void {
    this.#text(`x${letter(sysctl.where)}${sysctl.path}\0${before}\0${sysctl.value}\0`);
    this.#refusals.push((errno) => new SysctlError(sysctl, errno));
  }

  #addLink(where: Place, link: string): void {
    this.#text(`l${letter(where)}${link}\0`);
    this.#refusals.push((errno) =>
      errno === constants.errno.ENODEV ? vanished(link) : new NetlinkError(`looking for ${link}`, errno),
    );
  }

  /** `link`: the launcher puts the index of that one in, which it looked for last. */
  #addStep(where: Place, step: Step, link?: string): void {
    const request = requestOf(step);
    const writer = this.#writer;
    this.#text(`m${letter(where)}`);
    const head = writer.reserve(12);
    writeRelayed(writer, request);
    writer.view.setUint32(head, toleratedBy(step), true);
    writer.view.setUint32(head + 4, link === undefined ? 0 : placeOfIndex(request), true);
    writer.view.setUint32(head + 8, writer.length - head - 12, true);
    this.#refusals.push((errno, answer) => new StepError(step, refusalOf(request, errno, answer), link));
  }

  #text(text: string): void {
    this.#writer.raw(Buffer.from(text));
  }
}

const letter = (where: Place): string => (where === 'pod' ? 'p' : 'h');

/** 0 for none. */
const toleratedBy = ({ tolerate }: Step): number => (tolerate === undefined ? 0 : constants.errno[tolerate]);
