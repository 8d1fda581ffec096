import { isObject, type JsonObject } from '../json/go-json.ts';
import type { NetworkList } from './network-list.ts';
import { findPlugin, type PluginRun, runPlugin } from './plugin.ts';

export type Verb = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION';

/** Which attachment a verb is about, and how plugins are found. */
export interface Call {
  readonly list: NetworkList;
  readonly cniPath: string;
  readonly containerId: string;
  readonly netns: string;
  readonly ifname: string;
  readonly args: string;
  /** What the runtime supplies for capabilities, `{"portMappings": [...]}`. */
  readonly capabilityArgs: JsonObject;
  /** The chain's result of ADD, for DEL and CHECK. */
  readonly prevResult?: unknown;
  readonly validAttachments?: readonly { containerID: string; ifname: string }[];
}

/** The runs in the order they happened; the chain stops at the first plugin that fails. */
export interface Outcome {
  readonly runs: readonly PluginRun[];
  readonly failed: boolean;
  /** ADD: the last plugin's result. */
  readonly result?: unknown;
}

/**
 * Runs a verb over the whole chain as libcni does: ADD, CHECK and STATUS in the list's order, DEL backwards; a
 * failing plugin ends the chain, except for GC, which reaches every plugin. `onRun` sees each run as it ends.
 */
export async function runChain(verb: Verb, call: Call, onRun: (run: PluginRun) => void): Promise<Outcome> {
  const plugins = verb === 'DEL' ? call.list.plugins.toReversed() : call.list.plugins;
  const found = plugins.map((plugin) => ({ plugin, program: findPlugin(plugin.type, call.cniPath) }));
  const runs: PluginRun[] = [];
  let result: unknown = verb === 'ADD' ? undefined : call.prevResult;
  for (const { plugin, program } of found) {
    const request =
      verb === 'VERSION' ? { cniVersion: call.list.cniVersion } : buildRequest(verb, call, plugin, result);
    const run = await runPlugin(plugin.type, program, environmentOf(verb, call), request);
    runs.push(run);
    onRun(run);
    if (run.status !== 0 && verb !== 'GC') break;
    if (verb === 'ADD') result = run.reply;
  }
  const failed = runs.some((run) => run.status !== 0);
  return verb === 'ADD' && !failed ? { runs, failed, result } : { runs, failed };
}

/** The plugin's own object, with what a runtime adds (CNI 1.1.0, section 3, "Deriving request configuration"). */
export function buildRequest(verb: Verb, call: Call, plugin: JsonObject, prevResult: unknown): JsonObject {
  const request: JsonObject = { ...plugin, name: call.list.name, cniVersion: call.list.cniVersion };
  if (verb === 'ADD' || verb === 'DEL' || verb === 'CHECK') {
    const runtimeConfig = runtimeConfigOf(plugin, call.capabilityArgs);
    if (Object.keys(runtimeConfig).length > 0) request['runtimeConfig'] = runtimeConfig;
    if (prevResult !== undefined) request['prevResult'] = prevResult;
  }
  if (verb === 'GC' && call.validAttachments !== undefined) {
    // The key's name in the tagged specification, and the one that it got later.
    request['cni.dev/valid-attachments'] = call.validAttachments;
    request['cni.dev/attachments'] = call.validAttachments;
  }
  return request;
}

function runtimeConfigOf(plugin: JsonObject, supplied: JsonObject): JsonObject {
  const declared = plugin['capabilities'];
  if (!isObject(declared)) return {};
  const wanted = Object.entries(declared).filter(([name, on]) => on === true && name in supplied);
  return Object.fromEntries(wanted.map(([name]) => [name, supplied[name]]));
}

function environmentOf(verb: Verb, call: Call): Record<string, string> {
  const perAttachment = verb === 'ADD' || verb === 'DEL' || verb === 'CHECK';
  return {
    CNI_COMMAND: verb,
    CNI_CONTAINERID: perAttachment ? call.containerId : '',
    CNI_NETNS: perAttachment ? call.netns : '',
    CNI_IFNAME: perAttachment ? call.ifname : '',
    CNI_ARGS: perAttachment ? call.args : '',
    CNI_PATH: call.cniPath,
  };
}
