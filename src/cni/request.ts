import { asObject, foldKeys, type JsonObject, parseJson } from '../json/go-json.ts';
import { type CniEnvironment, namePattern, readEnvironment } from './environment.ts';
import { CniError, cniCodes } from './error.ts';
import type { LauncherRequest } from './launcher/frame.ts';
import { Lately } from './lately.ts';
import { requireVersion } from './version.ts';

/** A request that is understood so far as every verb has it in common. */
export interface CniRequest {
  readonly environment: CniEnvironment;
  readonly name: string;
  readonly cniVersion: string;
  /** The network configuration as it came. */
  readonly document: JsonObject;
}

/**
 * Reads a request in the reference skeleton's order: environment, JSON, name, version. Throws a CniError.
 * `sawVersion` is told the version as soon as it is known: errors after that are written in it.
 */
export function readRequest(
  { environment: env, stdin }: LauncherRequest,
  sawVersion: (version: string) => void,
): CniRequest {
  const environment = readEnvironment(env);
  const { document, given, name } = read.of(stdin.toString('latin1'), () => readDocument(stdin));
  if (typeof given !== 'string') throw undecodable('cniVersion must be a string');
  const cniVersion = given === '' ? '0.1.0' : given;
  sawVersion(cniVersion);
  if (typeof name !== 'string') throw undecodable('name must be a string');
  if (name === '') throw new CniError(cniCodes.badConfiguration, 'missing network name');
  if (!namePattern.test(name)) {
    throw new CniError(cniCodes.badConfiguration, 'invalid characters found in network name', name);
  }
  requireVersion(cniVersion, environment.command);
  return { environment, name, cniVersion, document };
}

interface ReadDocument {
  readonly document: JsonObject;
  readonly given: unknown;
  readonly name: unknown;
}

/** The pods of a node come with one and the same text. What is read of it is shared, and nobody changes it. */
const read = new Lately<ReadDocument>();

/** Throws a CniError 6: too long, too deep, no JSON, no object, no UTF-8. */
function readDocument(stdin: Uint8Array): ReadDocument {
  try {
    const document = asObject(parseJson(stdin, 'standard input'), 'the network configuration');
    const { cniVersion: given = '', name = '' } = foldKeys(document, ['cniVersion', 'name']);
    return { document, given, name };
  } catch (error) {
    throw undecodable((error as Error).message);
  }
}

const undecodable = (why: string): CniError =>
  new CniError(cniCodes.decodeFailure, `error unmarshall network config: ${why}`);
