import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { isObject, type JsonObject } from '../json/go-json.ts';
import { Refusal } from './refusal.ts';

/** A network configuration list as its file holds it: a chain of plugins under one name. */
export interface NetworkList {
  readonly file: string;
  readonly name: string;
  readonly cniVersion: string;
  readonly plugins: readonly (JsonObject & { readonly type: string })[];
}

/** The newest version of the CNI specification that we speak as a runtime. */
const newest = '1.1.0';

/**
 * Reads a list (`.conflist`) or a single plugin (`.conf`, `.json`), or the first of a directory, as container
 * runtimes choose it. Throws a {@link Refusal} that names the file and what is wrong in it.
 */
export function readNetworkList(source: string): NetworkList {
  const file = isDirectory(source) ? firstIn(source) : source;
  const json = readObject(file);
  const plugins = Array.isArray(json['plugins']) ? (json['plugins'] as unknown[]) : [json];
  const { name } = json;
  if (typeof name !== 'string' || name === '') throw new Refusal(`${file}: "name" is missing`);
  if (plugins.length === 0) throw new Refusal(`${file}: "plugins" is empty`);
  return {
    file,
    name,
    cniVersion: chooseVersion(json, file),
    plugins: plugins.map((plugin, i) => requirePlugin(plugin, `${file}: plugins[${i}]`)),
  };
}

/** The highest version out of `cniVersion` and `cniVersions` that is not newer than ours (CNI 1.1.0, section 1). */
function chooseVersion(json: JsonObject, file: string): string {
  const offered = [
    json['cniVersion'],
    ...(Array.isArray(json['cniVersions']) ? (json['cniVersions'] as unknown[]) : []),
  ];
  const versions = offered
    .filter((version) => typeof version === 'string')
    .filter((version) => version !== '');
  if (versions.length === 0) return '0.1.0';
  const usable = versions
    .filter((version) => compareVersions(version, newest) <= 0)
    .toSorted(compareVersions);
  const chosen = usable.at(-1);
  if (chosen === undefined) throw new Refusal(`${file}: CNI ${versions.join(', ')} is newer than ${newest}`);
  return chosen;
}

/** Negative, zero or positive, as a sort wants it. */
export function compareVersions(a: string, b: string): number {
  const parts = (version: string) => version.split('.').map(Number);
  const [x, y] = [parts(a), parts(b)];
  for (let i = 0; i < 3; i++) {
    const difference = (x[i] ?? 0) - (y[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function requirePlugin(plugin: unknown, where: string): JsonObject & { type: string } {
  if (!isObject(plugin)) throw new Refusal(`${where} is not an object`);
  const { type } = plugin;
  if (typeof type !== 'string' || type === '') throw new Refusal(`${where}: "type" is missing`);
  return { ...plugin, type };
}

function readObject(file: string): JsonObject {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Refusal(`cannot read the network configuration ${file}: ${(error as Error).message}`);
  }
  try {
    const json: unknown = JSON.parse(text);
    if (isObject(json)) return json;
  } catch (error) {
    throw new Refusal(`${file} is not JSON: ${(error as Error).message}`);
  }
  throw new Refusal(`${file} does not hold a JSON object`);
}

function isDirectory(source: string): boolean {
  return statSync(source, { throwIfNoEntry: false })?.isDirectory() === true;
}

function firstIn(directory: string): string {
  const first = readdirSync(directory)
    .filter((name) => /\.(conf|conflist|json)$/.test(name))
    .toSorted()[0];
  if (first === undefined) {
    throw new Refusal(`no network configuration (.conflist, .conf, .json) in ${directory}`);
  }
  return path.join(directory, first);
}
