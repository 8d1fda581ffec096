import { IpamError, type IpamErrorCode } from '../ipam/error.ts';
import { asCniError, CniError, cniCodes, errorDocument } from './error.ts';
import { type LauncherRequest, type Reply, success } from './launcher/frame.ts';
import { readRequest } from './request.ts';
import { serveVerb } from './serve-verb.ts';
import { currentVersion, isSupported, supportedVersions, versionDocument } from './version.ts';
import { Aborted, type Caller, NotMine, type World } from './world.ts';

/** A request to its reply, whichever way it came. Rejects with NotMine or Aborted, and with nothing else. */
export async function serve(world: World, request: LauncherRequest, caller: Caller): Promise<Reply> {
  const command = request.environment['CNI_COMMAND'] ?? '';
  if (command === '') return { status: 0, stdout: '', stderr: about };
  if (command === 'VERSION') return success(versionDocument());
  let version: string = currentVersion;
  const sawVersion = (given: string) => {
    if (isSupported(given)) version = given;
  };
  try {
    return success(await serveVerb(world, caller, readRequest(request, sawVersion)));
  } catch (error) {
    if (error instanceof NotMine || error instanceof Aborted) throw error;
    return { status: 1, stdout: errorDocument(worded(command, codedError(error)), version), stderr: '' };
  }
}

const about = `Flannelette's flannel CNI plugin. Container runtimes start it; by hand, use cni-tool.
CNI protocol versions supported: ${supportedVersions.join(', ')}
`;

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

/** containerd takes a DEL for done when its error says one of these, and forgets the pod with what is left of it. */
function worded(command: string, error: CniError): CniError {
  if (command !== 'DEL') return error;
  const reworded = (text: string) =>
    text
      .replaceAll(/not found/gi, 'missing')
      .replaceAll(/no such file or directory/gi, 'there is no such file');
  return new CniError(error.code, reworded(error.message), reworded(error.details));
}
