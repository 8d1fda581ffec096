import path from 'node:path';
import type { JsonObject } from '../json/go-json.ts';
import { readBridge } from './bridge-configuration.ts';
import { type NetConf, placesOf, readNetConf } from './configuration.ts';
import { delegateOf, delegateText } from './delegate.ts';
import type { AttachmentRequest, Delegated } from './delegated.ts';
import type { Verb } from './environment.ts';
import { CniError, cniCodes } from './error.ts';
import { FlannelState } from './flannel-state.ts';
import { readPreviousResult } from './previous-result.ts';
import { defaultIpamDataDir, isInside, type RecordedDelegate, readDelegate } from './recorded-delegate.ts';
import type { CniRequest } from './request.ts';
import { resultDocument } from './result.ts';
import { parseSubnetEnv } from './subnet-env.ts';
import { readValidAttachments } from './valid-attachments.ts';
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
  const delegate = presentDelegate(world, caller, request);
  const recorded = recordedOf(delegate);
  if (!isInside(recorded)) return addDelegate(world, caller, attachmentOf(request), recorded);
  const delegated = understand(delegate, request);
  const { dataDir, resolvConf } = delegated.ipam;
  caller.expect([path.dirname(dataDir), ...(resolvConf === undefined ? [] : [resolvConf])]);
  const result = await add(world, caller, attachmentOf(request), delegated);
  return resultDocument(result, request.cniVersion);
}

async function serveDel(world: World, caller: Caller, request: CniRequest): Promise<string> {
  await del(world, caller, attachmentOf(request), presentOf(world, request));
  return '';
}

/** By what was written at ADD, where it can be read: the configuration may have changed since. */
async function serveCheck(world: World, caller: Caller, request: CniRequest): Promise<string> {
  const attachment = attachmentOf(request);
  caller.expect([path.dirname(attachment.dataDir)]);
  const written = readDelegate(
    new FlannelState(world.files, attachment.dataDir).read(attachment.key.containerID),
  );
  const delegate =
    written?.network === request.name
      ? (JSON.parse(written.text) as JsonObject)
      : presentDelegate(world, caller, request);
  const { type, ...rest } = recordedOf(delegate);
  if (!isInside({ type, ...rest })) {
    const { prevResult } = request.document;
    return runDelegate(caller, type, JSON.stringify({ ...delegate, prevResult }));
  }
  const previous = readPreviousResult(request.document, request.cniVersion);
  await check(world, caller, attachment, understand(delegate, request), previous);
  return '';
}

async function serveGc(world: World, caller: Caller, request: CniRequest): Promise<string> {
  const valid = readValidAttachments(request.document);
  // Nobody has said what is valid: removing everything would be the worst way to understand that.
  if (valid === undefined) return '';
  const { dataDir } = placesOf(request.document);
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
    const delegate = presentDelegate(world, caller, request);
    const { type, text, ...rest } = recordedOf(delegate);
    if (!isInside({ type, ...rest })) return await runDelegate(caller, type, text);
    status(world, understand(delegate, request));
    return '';
  } catch (error) {
    // Whatever will mend itself: for a STATUS that has a code of its own.
    if (!(error instanceof CniError) || error.code !== cniCodes.tryAgainLater) throw error;
    throw unavailable(error.message, error.details);
  }
}

/** What the configuration says now, as far as it can be understood: a DEL goes on without. */
function presentOf(
  world: World,
  { document, name, cniVersion }: CniRequest,
): Present & { delegate?: JsonObject } {
  const unknown = { ipamDataDir: defaultIpamDataDir, ipMasq: false };
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      world.log.debug({ err: error }, 'going by the records: the configuration of now cannot be used');
      return undefined;
    }
  };
  const conf = attempt(() => readNetConf(document, name, cniVersion));
  if (conf === undefined) return unknown;
  const delegate = attempt(() => delegateOf(conf, readSubnetEnv(world, conf)));
  if (delegate !== undefined) return { ...recordedOf(delegate), delegate };
  return readDelegate(JSON.stringify({ ...conf.delegate, name, ipam: conf.ipam })) ?? unknown;
}

/** The delegate's configuration, made of what is written now. */
function presentDelegate(
  world: World,
  caller: Caller,
  { document, name, cniVersion }: CniRequest,
): JsonObject {
  const conf = readNetConf(document, name, cniVersion);
  // Where a daemon does not see the host's files, the stand-alone program must do it.
  caller.expect([conf.subnetFile, path.dirname(conf.dataDir)]);
  return delegateOf(conf, readSubnetEnv(world, conf));
}

const readSubnetEnv = ({ files }: World, { subnetFile }: NetConf) =>
  parseSubnetEnv(files.read(subnetFile), subnetFile);

/** It always has a name, so it can be read. */
const recordedOf = (delegate: JsonObject): RecordedDelegate =>
  readDelegate(delegateText(delegate)) as RecordedDelegate;

const understand = (delegate: JsonObject, { environment, cniVersion }: CniRequest): Delegated =>
  readBridge(delegate, environment.args, cniVersion);

function attachmentOf({ environment, document, name, cniVersion }: CniRequest): AttachmentRequest {
  const { containerID, ifname, netns } = environment;
  return {
    key: { network: name, containerID, ifname },
    netns,
    cniVersion,
    dataDir: placesOf(document).dataDir,
  };
}
