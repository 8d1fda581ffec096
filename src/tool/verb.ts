import type { Binding } from '../../native/binding.ts';
import { isObject, type JsonObject } from '../json/go-json.ts';
import type { Random } from '../world/random.ts';
import type { Attachment, AttachmentFiles } from './attachment-file.ts';
import { type Call, type Outcome, runChain, type Verb } from './chain.ts';
import { namePattern } from '../cni/environment.ts';
import { keptAttachments } from './kept-attachments.ts';
import { difference, type KernelView, linkNames, viewKernel } from './kernel-view.ts';
import { createNamespace, removeNamespace } from './namespace.ts';
import { readNetworkList } from './network-list.ts';
import { milliseconds, type Print } from './print.ts';
import type { PluginRun } from './plugin.ts';
import { Refusal } from './refusal.ts';

/** What the command line said; what is undefined was left out. */
export interface VerbOptions {
  readonly conflist?: string | undefined;
  readonly cniPath: string;
  readonly containerId?: string | undefined;
  readonly netns?: string | undefined;
  readonly ifname: string;
  readonly args: string;
  readonly capabilityArgs: string;
  readonly keep?: readonly string[] | undefined;
  readonly none?: boolean | undefined;
  readonly verbose: boolean;
}

export interface VerbWorld {
  readonly binding: Binding;
  readonly random: Random;
  readonly print: Print;
  readonly files: AttachmentFiles;
}

/** Runs one verb by hand and shows it. The answer is the exit status: 0, or 1 when a plugin failed. */
export async function runVerb(verb: Verb, options: VerbOptions, world: VerbWorld): Promise<number> {
  switch (verb) {
    case 'ADD':
      return add(options, world);
    case 'DEL':
    case 'CHECK':
      return again(verb, options, world);
    case 'GC':
    case 'STATUS':
    case 'VERSION':
      return wholeNetwork(verb, options, world);
  }
}

async function add(options: VerbOptions, world: VerbWorld): Promise<number> {
  const conflist = requireConflist(options);
  const containerId = containerIdOf(options, world);
  const list = readNetworkList(conflist);
  const capabilityArgs = parseCapabilityArgs(options.capabilityArgs);
  refuseOccupied(containerId, options, world);
  const scratch = options.netns === undefined;
  const netns = options.netns ?? createNamespace(world.binding, containerId);
  const attachment: Attachment = {
    containerId,
    ifname: options.ifname,
    netns,
    scratch,
    conflist,
    cniPath: options.cniPath,
    args: options.args,
    capabilityArgs,
  };
  // Remembered before anything happens: what a crash leaves, del can still clean up.
  world.files.write(attachment);
  const outcome = await show('ADD', { ...attachment, list }, options, world).catch((error: unknown) => {
    // No plugin has run: there is nothing to undo but what we made ourselves.
    forget(attachment, world);
    throw error;
  });
  if (!outcome.failed) {
    world.files.write({ ...attachment, result: outcome.result });
    world.print.line();
    world.print.line(`Look inside: nsenter --net=${netns} ip addr`);
    world.print.line(`Undo it:     cni-tool del --container-id ${containerId}`);
    return 0;
  }
  if (options.containerId === undefined) {
    world.print.line('A container runtime undoes a failed ADD by DEL; so do we.');
    await remove(attachment, options, world);
  } else {
    forget(attachment, world);
    tellHowToUndo(attachment, world);
  }
  return 1;
}

/** Not done for a person: DEL goes by the ID, and may take what was there before, in whichever namespace. */
function tellHowToUndo(attachment: Attachment, { print }: VerbWorld): void {
  print.line(
    `Not undone: "${attachment.containerId}" may be the ID of an attachment that was there before. If it is not:`,
  );
  print.line(`  cni-tool del ${delArguments(attachment).map(quoted).join(' ')}`);
}

function delArguments(attachment: Attachment): string[] {
  const { containerId, ifname, netns, scratch, conflist, cniPath, args, capabilityArgs } = attachment;
  return [
    '--container-id',
    containerId,
    '--ifname',
    ifname,
    '--conflist',
    conflist,
    '--cni-path',
    cniPath,
    ...(scratch ? [] : ['--netns', netns]),
    ...(args === '' ? [] : ['--args', args]),
    ...(Object.keys(capabilityArgs).length === 0
      ? []
      : ['--capability-args', JSON.stringify(capabilityArgs)]),
  ];
}

/** As a shell reads it as one word. */
const quoted = (word: string): string =>
  /^[\w./:,@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;

/** An ADD would fail there, and the DEL that undoes it would take what stood before. */
function refuseOccupied(
  containerId: string,
  { netns, ifname }: VerbOptions,
  { binding, files }: VerbWorld,
): void {
  if (files.has({ containerId, ifname })) {
    throw new Refusal(
      `"${containerId}" has an ${ifname} that was added by hand: cni-tool del --container-id ${containerId}`,
    );
  }
  // Each namespace has an lo, which the plugin "loopback" sets up.
  if (netns === undefined || ifname === 'lo' || !linkNames(binding, netns).includes(ifname)) return;
  throw new Refusal(
    `there is an ${ifname} in ${netns} already: remove that attachment first, or choose another --ifname`,
  );
}

/** It names the namespace and our own file as well. */
function containerIdOf({ containerId }: VerbOptions, { random }: VerbWorld): string {
  if (containerId === undefined) return `cni-tool-${Buffer.from(random(4)).toString('hex')}`;
  if (namePattern.test(containerId)) return containerId;
  throw new Refusal(
    `"${containerId}" cannot be a container ID: use letters, digits, "_", "." and "-", a letter or digit first`,
  );
}

async function again(verb: 'DEL' | 'CHECK', options: VerbOptions, world: VerbWorld): Promise<number> {
  const attachment = remembered(options, world);
  if (verb === 'DEL') return remove(attachment, options, world);
  const outcome = await show('CHECK', callOf(attachment), options, world);
  return outcome.failed ? 1 : 0;
}

async function remove(attachment: Attachment, options: VerbOptions, world: VerbWorld): Promise<number> {
  const outcome = await show('DEL', callOf(attachment), options, world);
  if (outcome.failed) return 1;
  forget(attachment, world);
  return 0;
}

function forget(attachment: Attachment, { files }: VerbWorld): void {
  if (attachment.scratch) removeNamespace(attachment.containerId);
  files.remove(attachment);
}

/** An attachment that was added by hand, or one that the command line describes in full. */
function remembered(options: VerbOptions, world: VerbWorld): Attachment {
  const { containerId, conflist, netns, ifname, args } = options;
  if (containerId === undefined || conflist === undefined) return world.files.find(containerId);
  const capabilityArgs = parseCapabilityArgs(options.capabilityArgs);
  return {
    containerId,
    ifname,
    netns: netns ?? '',
    scratch: false,
    conflist,
    cniPath: options.cniPath,
    args,
    capabilityArgs,
  };
}

function callOf(attachment: Attachment): Call {
  return { ...attachment, list: readNetworkList(attachment.conflist), prevResult: attachment.result };
}

async function wholeNetwork(
  verb: 'GC' | 'STATUS' | 'VERSION',
  options: VerbOptions,
  world: VerbWorld,
): Promise<number> {
  const list = readNetworkList(requireConflist(options));
  const call = {
    list,
    cniPath: options.cniPath,
    containerId: '',
    netns: '',
    ifname: '',
    args: '',
    capabilityArgs: {},
  };
  const validAttachments =
    verb === 'GC' ? keptAttachments(options.keep ?? [], options.none === true) : undefined;
  const outcome = await show(verb, validAttachments ? { ...call, validAttachments } : call, options, world);
  return outcome.failed ? 1 : 0;
}

async function show(verb: Verb, call: Call, options: VerbOptions, world: VerbWorld): Promise<Outcome> {
  const { print } = world;
  const where = call.netns === '' ? '' : ` in ${call.netns}`;
  print.heading(`${verb} ${call.list.name} (CNI ${call.list.cniVersion}, ${call.list.file})${where}`);
  const before = options.verbose ? viewKernel(world.binding, call.netns) : undefined;
  const outcome = await runChain(verb, call, (run) => showRun(run, print));
  if (before !== undefined) showChanges(before, viewKernel(world.binding, call.netns), print);
  return outcome;
}

function showRun(run: PluginRun, print: Print): void {
  print.line();
  const summary = `${run.type}  ${milliseconds(run.milliseconds)}  ${run.program}`;
  if (run.status === 0) print.good(`ok    ${summary}`);
  else print.bad(`FAIL  ${summary}  (exit status ${run.status})`);
  print.json('request', run.request);
  if (run.reply !== undefined) print.json(run.status === 0 ? 'result' : 'error', run.reply);
  if (run.stderr.trim() !== '') print.line(`  stderr: ${run.stderr.trim()}`);
}

function showChanges(before: KernelView, after: KernelView, print: Print): void {
  const changes = difference(before, after);
  print.line();
  print.heading(changes.length === 0 ? 'nothing changed in the kernel' : 'what changed in the kernel');
  for (const change of changes) (change.startsWith('+') ? print.good : print.bad)(`  ${change}`);
}

function requireConflist({ conflist }: VerbOptions): string {
  if (conflist !== undefined) return conflist;
  throw new Refusal('which network? Name a configuration file or its directory with --conflist');
}

function parseCapabilityArgs(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Said below, for both.
  }
  throw new Refusal(`--capability-args must be a JSON object such as {"portMappings":[...]}, not ${text}`);
}
