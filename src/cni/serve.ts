import path from 'node:path';
import { IpamError, type IpamErrorCode } from '../ipam/error.ts';
import { readBridge } from './bridge-configuration.ts';
import { type NetConf, placesOf, readNetConf } from './configuration.ts';
import { delegateOf, delegateText } from './delegate.ts';
import type { AttachmentRequest } from './delegated.ts';
import { asCniError, CniError, cniCodes, errorDocument } from './error.ts';
import type { LauncherRequest, Reply } from './frame.ts';
import { defaultIpamDataDir, isInside, readDelegate } from './recorded-delegate.ts';
import { type CniRequest, readRequest } from './request.ts';
import { resultDocument } from './result.ts';
import { parseSubnetEnv } from './subnet-env.ts';
import { add } from './verbs/add.ts';
import { del, type Present } from './verbs/del.ts';
import { addDelegate } from './verbs/delegate.ts';
import { currentVersion, supportedVersions, versionDocument } from './version.ts';
import { Aborted, type Caller, NotMine, type World } from './world.ts';

/** A request to its reply, whichever way it came. Rejects with NotMine or Aborted, and with nothing else. */
export async function serve(world: World, request: LauncherRequest, caller: Caller): Promise<Reply> {
  const command = request.environment['CNI_COMMAND'] ?? '';
  if (command === '') return { status: 0, stdout: '', stderr: about };
  if (command === 'VERSION') return success(versionDocument());
  let version: string = currentVersion;
  try {
    const cni = readRequest(request, (given) => (version = supportedVersions.find((known) => known === given) ?? version));
    return success((await verbs[cni.environment.command]?.(world, caller, cni)) ?? '');
  } catch (error) {
    if (error instanceof NotMine || error instanceof Aborted) throw error;
    return { status: 1, stdout: errorDocument(worded(command, codedError(error)), version), stderr: '' };
  }
}

const about = `Flannelette's flannel CNI plugin. A container runtime starts it; see cni-tool for doing so by hand.
CNI protocol versions supported: ${supportedVersions.join(', ')}
`;

const success = (stdout: string): Reply => ({ status: 0, stdout, stderr: '' });

/** Each answers what goes to standard output. */
const verbs: Readonly<Record<string, (world: World, caller: Caller, request: CniRequest) => Promise<string>>> = {
  ADD: serveAdd,
  DEL: serveDel,
};

async function serveAdd(world: World, caller: Caller, request: CniRequest): Promise<string> {
  const { document, name, cniVersion, environment } = request;
  const conf = readNetConf(document, name, cniVersion);
  expectFiles(caller, conf);
  const delegate = delegateOf(conf, readSubnetEnv(world, conf));
  const text = delegateText(delegate);
  const recorded = readDelegate(text);
  if (recorded !== undefined && !isInside(recorded)) {
    return addDelegate(world, caller, attachmentOf(request), recorded);
  }
  const delegated = readBridge(delegate, environment.args, cniVersion);
  return resultDocument(await add(world, caller, attachmentOf(request), delegated), cniVersion);
}

async function serveDel(world: World, caller: Caller, request: CniRequest): Promise<string> {
  await del(world, caller, attachmentOf(request), presentOf(world, request));
  return '';
}

/** What the configuration says now, as far as it can be understood: a DEL goes on without. */
function presentOf(world: World, { document, name, cniVersion }: CniRequest): Present {
  try {
    const conf = readNetConf(document, name, cniVersion);
    const text = delegateText(delegateOf(conf, readSubnetEnv(world, conf)));
    const present = readDelegate(text);
    if (present !== undefined) return present;
  } catch (error) {
    world.log.debug({ err: error }, 'DEL goes by the records: the configuration of now says nothing');
  }
  return { ipamDataDir: defaultIpamDataDir, ipMasq: false };
}

function attachmentOf({ environment, document, name, cniVersion }: CniRequest): AttachmentRequest {
  const { containerID, ifname, netns } = environment;
  return { key: { network: name, containerID, ifname }, netns, cniVersion, dataDir: placesOf(document).dataDir };
}

/** Where a daemon does not see the host's files, the stand-alone program must do it. */
function expectFiles(caller: Caller, { subnetFile, dataDir }: NetConf): void {
  caller.expect([subnetFile, path.dirname(dataDir)]);
}

const readSubnetEnv = ({ files }: World, { subnetFile }: NetConf) => parseSubnetEnv(files.read(subnetFile), subnetFile);

const ipamCodes: Readonly<Record<IpamErrorCode, number>> = {
  CONFIGURATION: cniCodes.badConfiguration,
  REQUESTED: cniCodes.badConfiguration,
  DUPLICATE: cniCodes.internal,
  EXHAUSTED: cniCodes.tryAgainLater,
  LOCKED: cniCodes.tryAgainLater,
  STORE: cniCodes.ioFailure,
};

const codedError = (error: unknown): CniError =>
  error instanceof IpamError ? new CniError(ipamCodes[error.code], error.message) : asCniError(error);

/** containerd takes a DEL for done when its error says one of these, and forgets the pod. */
function worded(command: string, error: CniError): CniError {
  if (command !== 'DEL') return error;
  const reworded = (text: string) =>
    text.replaceAll(/not found/gi, 'missing').replaceAll(/no such file or directory/gi, 'there is no such file');
  return new CniError(error.code, reworded(error.message), reworded(error.details));
}
