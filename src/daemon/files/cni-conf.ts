import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { asObject, JsonError, parseJson } from '../../json/go-json.ts';
import type { Log } from '../../world/log.ts';
import { writeWhole } from './file.ts';
import { ConfigurationError } from '../network/network-config.ts';

/** Of all lists in the directory the container runtime takes the first by name. */
const installedName = '10-flannel.conflist';

/** The text of `--flannel-cni-conf`. Throws a {@link ConfigurationError} when it is no list of CNI plugins. */
export function readCniConf(file: string): string {
  try {
    const text = readFileSync(file, 'utf8');
    const { name, plugins } = asObject(parseJson(text, 'the file'), 'the file');
    if (typeof name !== 'string' || name === '') throw new JsonError('it has no "name"');
    if (!Array.isArray(plugins) || plugins.length === 0) throw new JsonError('it has no "plugins"');
    const nameless = plugins.findIndex((plugin) => typeof asObject(plugin, 'a plugin')['type'] !== 'string');
    if (nameless !== -1) throw new JsonError(`plugin ${nameless + 1} has no "type"`);
    return text;
  } catch (error) {
    const why = error instanceof JsonError ? error.message : `it cannot be read: ${(error as Error).message}`;
    throw new ConfigurationError(file, [`${why}; --flannel-cni-conf names a list of CNI plugins`]);
  }
}

/** Puts the list where the container runtime looks, when pods can be served; a file that says the same already is left alone. */
export function installCniConf(text: string, directory: string, log: Log): void {
  const file = path.join(directory, installedName);
  try {
    if (sameText(file, text)) return;
    writeWhole(file, text, { file: 0o644, directory: 0o755 });
    log.info({ file }, 'the list of CNI plugins is installed');
  } catch (error) {
    log.error({ file }, `the list of CNI plugins cannot be installed: ${(error as Error).message}`);
  }
}

/** Takes the list away again, so that the runtime finds another plugin's; one that is not of flannel's stays. */
export function removeCniConf(directory: string, log: Log): void {
  const file = path.join(directory, installedName);
  try {
    if (!isOfFlannel(file)) return;
    rmSync(file);
    log.info({ file }, "flannel's list of CNI plugins is removed");
  } catch (error) {
    log.error({ file }, `flannel's list of CNI plugins cannot be removed: ${(error as Error).message}`);
  }
}

/** One that cannot be read is nobody's. */
function isOfFlannel(file: string): boolean {
  try {
    const { plugins } = asObject(parseJson(readFileSync(file), 'the file'), 'the file');
    return (
      Array.isArray(plugins) && plugins.some((plugin) => asObject(plugin, 'a plugin')['type'] === 'flannel')
    );
  } catch {
    return false;
  }
}

function sameText(file: string, text: string): boolean {
  try {
    return readFileSync(file, 'utf8') === text;
  } catch {
    return false;
  }
}
