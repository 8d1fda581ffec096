import path from 'node:path';
import type { JsonObject } from '../json/go-json.ts';
import { readArgs, readBridge } from './configuration/bridge.ts';
import { dataDirOf, type NetConf, readNetConf } from './configuration/net-conf.ts';
import { delegateOf, delegateText } from './configuration/delegate.ts';
import type { AttachmentRequest, Delegated } from './configuration/delegated.ts';
import type { Verb } from './environment.ts';
import { CniError, cniCodes } from './error.ts';
import { keyOf, Lately, LatelyOf } from './lately.ts';
import { FlannelState } from './records/flannel-state.ts';
import { readPreviousResult } from './configuration/previous-result.ts';
import {
  defaultIpamDataDir,
  isInside,
  type RecordedDelegate,
  readDelegate,
} from './configuration/recorded-delegate.ts';
import type { CniRequest } from './request.ts';
import { parseSubnetEnv } from './configuration/subnet-env.ts';
import { readValidAttachments } from './configuration/valid-attachments.ts';
import { add } from './verbs/add.ts';
import { check } from './verbs/check.ts';
import { del, type Present } from './verbs/del.ts';
import { addDelegate, runDelegate } from './verbs/delegate.ts';
import { gc } from './verbs/gc.ts';
import { status, unavailable } from './verbs/status.ts';
import type { Caller, World } from './world.ts';

/** Does what the request's verb asks for; answers what goes to standard output. Throws CniErrors and IpamErrors. */
export function serveVerb(world: World, caller: Caller, request: CniRequest): Promise<string> {
  return verbs[request.environment.command](world, caller, request);
}

type ServeVerb = (world: World, caller: Caller, request: CniRequest) => Promise<string>;

const verbs: Readonly<Record<Verb, ServeVerb>> = {
  ADD: serveAdd,
  DEL: serveDel,
  CHECK: serveCheck,
  GC: serveGc,
  STATUS: serveStatus,
  VERSION: async () => '',
};

async function serveAdd(world: World, caller: Caller, request: CniRequest): Promise<string> {
  const known = presentDelegate(world, caller, request);
  if (!isInside(known.recorded)) return addDelegate(world, caller, attachmentOf(request), known.recorded);
  const delegated = understand(known, request);
  caller.expect([path.dirname(delegated.ipam.dataDir)]);
  return add(world, caller, attachmentOf(request), delegated);
}

async function serveDel(world: World, caller: Caller, request: CniRequest): Promise<string> {
  await del(world, caller, attachmentOf(request), () => presentOf(world, request));
  return '';
}

/** By what was written at ADD, where it can be read: the configuration may have changed since. */
async function serveCheck(world: World, caller: Caller, request: CniRequest): Promise<string> {
  const attachment = attachmentOf(request);
  caller.expect([path.dirname(attachment.dataDir)]);
  const written = readDelegate(
    new FlannelState(world.files, attachment.dataDir).read(attachment.key.containerID),
  );
  const known =
    written?.network === request.name
      ? { delegate: JSON.parse(written.text) as JsonObject, recorded: written }
      : presentDelegate(world, caller, request);
  const { delegate, recorded } = known;
  const { type } = recorded;
  if (!isInside(recorded)) {
    const { prevResult } = request.document;
    return runDelegate(caller, type, JSON.stringify({ ...delegate, prevResult }));
  }
  const previous = readPreviousResult(request.document, request.cniVersion);
  await check(world, caller, attachment, understand(known, request), previous);
  return '';
}

async function serveGc(world: World, caller: Caller, request: CniRequest): Promise<string> {
  const valid = readValidAttachments(request.document);
  // Nobody has said what is valid: removing everything would be the worst way to understand that.
  if (valid === undefined) return '';
  const dataDir = dataDirOf(request.document);
  const present = presentOf(world, request);
  if (present.delegate !== undefined && !isInside(recordedOf(present.delegate))) {
    const lists = { 'cni.dev/valid-attachments': valid, 'cni.dev/attachments': valid };
    await runDelegate(
      caller,
      recordedOf(present.delegate).type,
      JSON.stringify({ ...present.delegate, ...lists }),
    );
  }
  await gc(world, caller, { network: request.name, dataDir, valid, present });
  return '';
}

async function serveStatus(world: World, caller: Caller, request: CniRequest): Promise<string> {
  try {
    const known = presentDelegate(world, caller, request);
    const { type, text } = known.recorded;
    if (!isInside(known.recorded)) return await runDelegate(caller, type, text);
    const delegated = understand(known, request);
    caller.expect([path.dirname(delegated.ipam.dataDir)]);
    status(world, attachmentOf(request), delegated);
    return '';
  } catch (error) {
    // Whatever will mend itself: for a STATUS that has a code of its own.
    if (!(error instanceof CniError) || error.code !== cniCodes.tryAgainLater) throw error;
    throw unavailable(error.message, error.details);
  }
}

/** What the configuration says now, as far as it can be understood: a DEL goes on without. */
function presentOf(world: World, request: CniRequest): Present & { delegate?: JsonObject } {
  const unknown = { ipamDataDir: defaultIpamDataDir, ipMasq: false };
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      world.log.debug({ err: error }, 'going by the records: the configuration of now cannot be used');
      return undefined;
    }
  };
  const conf = attempt(() => netConfOf(request));
  if (conf === undefined) return unknown;
  const known = attempt(() => delegateBy(world, conf));
  if (known !== undefined) return { ...known.recorded, delegate: known.delegate };
  return readDelegate(JSON.stringify({ ...conf.delegate, name: request.name, ipam: conf.ipam })) ?? unknown;
}

/** The delegate's configuration, made of what is written now. */
function presentDelegate(world: World, caller: Caller, request: CniRequest): KnownDelegate {
  const conf = netConfOf(request);
  // Where a daemon does not see the host's files, the stand-alone program must do it.
  caller.expect([conf.subnetFile, path.dirname(conf.dataDir)]);
  return delegateBy(world, conf);
}

interface KnownDelegate {
  readonly delegate: JsonObject;
  readonly recorded: RecordedDelegate;
}

const confs = new Lately<NetConf>();
const keys = new LatelyOf<JsonObject, string>();
const dataDirs = new LatelyOf<JsonObject, string>();
const delegates = new LatelyOf<NetConf, KnownDelegate>();
const bridges = new LatelyOf<KnownDelegate, Delegated>();

/** By what the network's administrator wrote: what the runtime adds for each pod is read elsewhere. */
function netConfOf({ document, name, cniVersion }: CniRequest): NetConf {
  const key = keys.of(document, () => keyOf({ ...document, ...ofPods }));
  return confs.of(key, () => readNetConf(document, name, cniVersion));
}

const ofPods = {
  prevResult: undefined,
  'cni.dev/valid-attachments': undefined,
  'cni.dev/attachments': undefined,
};

function delegateBy({ files }: World, conf: NetConf): KnownDelegate {
  const text = files.readGiven(conf.subnetFile);
  const make = () => {
    const delegate = delegateOf(conf, parseSubnetEnv(text, conf.subnetFile));
    return { delegate, recorded: recordedOf(delegate) };
  };
  return text === undefined ? make() : delegates.of(conf, make, text);
}

/** It always has a name, so it can be read. */
const recordedOf = (delegate: JsonObject): RecordedDelegate =>
  readDelegate(delegateText(delegate)) as RecordedDelegate;

function understand(known: KnownDelegate, { environment, cniVersion }: CniRequest): Delegated {
  const args = readArgs(environment.args);
  const make = () => readBridge(known.delegate, args, cniVersion);
  return bridges.of(known, make, `${cniVersion} ${JSON.stringify(args)}`);
}

function attachmentOf({ environment, document, name, cniVersion }: CniRequest): AttachmentRequest {
  const { containerID, ifname, netns } = environment;
  return {
    key: { network: name, containerID, ifname },
    netns,
    cniVersion,
    dataDir: dataDirs.of(document, () => dataDirOf(document)),
  };
}
