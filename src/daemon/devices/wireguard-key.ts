import { closeSync, constants, fstatSync, openSync, readSync, rmSync } from 'node:fs';
import path from 'node:path';
import { parseSecret, privateKeyOf, Secret } from '../../wireguard/key.ts';
import type { Log } from '../../world/log.ts';
import type { Random } from '../../world/random.ts';
import { writeWhole } from '../files/file.ts';

/** A file that keeps the node's private key, in base64. */
export interface KeyFile {
  readonly path: string;
  readonly mode: { readonly file: number; readonly directory: number };
}

/** A key file holds something else than a key. Nothing was written. */
export class KeyFileError extends Error {
  override readonly name = 'KeyFileError';
}

/** flannel's file, which does not outlive a reboot, and the copy that does. */
export function keyFilesOf(environment: NodeJS.ProcessEnv, stateDirectory: string): KeyFile[] {
  const flannels = environment['WIREGUARD_KEY_FILE'] || '/run/flannel/wgkey';
  return [
    { path: flannels, mode: { file: 0o400, directory: 0o755 } },
    { path: path.join(stateDirectory, 'wgkey'), mode: { file: 0o600, directory: 0o700 } },
  ];
}

/** Where K3s 1.25 and older kept the key of its backend "wireguard". */
export const k3sKeyFile = '/var/lib/rancher/k3s/agent/etc/flannel/privatekey';

export interface KeySources {
  /** The first one that holds a key decides; the others are given it. */
  readonly files: readonly KeyFile[];
  /** A file that is read when no other has a key, and removed when its key is kept. */
  readonly legacyFile: string;
  /** The key of a device that is there already. */
  readonly device: Secret | undefined;
  readonly random: Random;
  readonly log: Log;
  /** Nothing is written or removed. */
  readonly dryRun: boolean;
}

/**
 * The node's private key: from a file, else from a device that is there, else a new one. Peers know this node by it, so a new one
 * is the last resort. An empty file, as a crash leaves it, counts as none. Throws a {@link KeyFileError} that names every
 * file with anything else in it.
 */
export function keepKey({ files, legacyFile, device, random, log, dryRun }: KeySources): Secret {
  const readings = files.map((file) => ({ file, reading: readKeyFile(file.path) }));
  const odd = readings.flatMap(({ reading }) => (typeof reading === 'string' ? [reading] : []));
  if (odd.length > 0) throw new KeyFileError(odd.join('\n'));
  const kept = readings.flatMap(({ reading }) => (reading instanceof Secret ? [reading] : []));
  const legacy = kept.length === 0 ? readLegacy(legacyFile, log) : undefined;
  const key = privateKeyOf(kept[0] ?? legacy ?? device ?? new Secret(random(32)));
  if (dryRun) return key;
  if (kept.length === 0 && legacy === undefined && device === undefined) {
    log.info({ files: files.map((file) => file.path) }, 'a new WireGuard key is made for this node');
  }
  const written = readings.filter(({ file, reading }) => {
    if (reading instanceof Secret && privateKeyOf(reading).equals(key)) return true;
    return writeKey(file, key, log);
  });
  if (legacy !== undefined && written.length > 0) {
    log.warn(
      { file: legacyFile },
      `the key of K3s's former backend "wireguard" is kept; its file is removed`,
    );
    rmSync(legacyFile, { force: true });
  }
  return key;
}

function writeKey({ path: file, mode }: KeyFile, key: Secret, log: Log): boolean {
  try {
    writeWhole(file, Buffer.from(key.reveal()).toString('base64'), mode);
    return true;
  } catch (error) {
    const why = (error as Error).message;
    log.warn(
      { file },
      `the WireGuard key cannot be kept in ${file}, and may be another one next time: ${why}`,
    );
    return false;
  }
}

function readLegacy(file: string, log: Log): Secret | undefined {
  const reading = readKeyFile(file);
  if (typeof reading !== 'string') return reading;
  log.warn({ file }, `${reading}; it is left as it is`);
  return undefined;
}

/** A key takes 44 characters and perhaps a newline. */
const longest = 256;

/** The key; undefined: no file, or an empty one; a text: what is wrong with it, without what it holds. */
function readKeyFile(file: string): Secret | undefined | string {
  let text: string;
  try {
    text = readShort(file).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    return `the WireGuard key file ${file} cannot be read: ${(error as Error).message}`;
  }
  if (text === '') return undefined;
  return (
    parseSecret(text) ??
    `the WireGuard key file ${file} does not hold a key (32 bytes in base64, as "wg genkey" prints them): ` +
      'put the key back, or remove the file, and the node takes the key that it has elsewhere, or makes a new one'
  );
}

/** Neither a pipe nor an endless device keeps it waiting. */
function readShort(file: string): string {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!fstatSync(fd).isFile()) throw new Error('it is no regular file');
    const bytes = Buffer.alloc(longest);
    return bytes.toString('latin1', 0, readSync(fd, bytes));
  } finally {
    closeSync(fd);
  }
}
