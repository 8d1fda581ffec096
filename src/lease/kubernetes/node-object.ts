import { asObject, isObject, JsonError, type JsonObject, parseJson } from '../../json/go-json.ts';
import type { WantedMembers } from '../../json/skim.ts';
import type { AnnotationKeys } from './annotations.ts';

/** What flannel needs of a Node, as it is written there: untrusted. */
export interface NodeObject {
  readonly name: string;
  /** Another one when a node was removed and has come back under its name. */
  readonly uid: string;
  readonly resourceVersion: string;
  /** Ours alone. */
  readonly annotations: ReadonlyMap<string, string>;
  /** `spec.podCIDRs`, or the older `spec.podCIDR`. */
  readonly podCIDRs: readonly string[];
}

/** That part of a Node of some 15 kB. */
export function wantedOfNode(keys: AnnotationKeys): WantedMembers {
  const ours: ReadonlySet<string> = new Set(Object.values(keys));
  return {
    metadata: { name: true, uid: true, resourceVersion: true, annotations: (key: string) => ours.has(key) },
    spec: { podCIDR: true, podCIDRs: true },
  };
}

/**
 * Reads what a skim has kept. Throws a {@link JsonError} when it is no Node. What is of another type than it should be counts as
 * absent.
 */
export function parseNode(text: string): NodeObject {
  return nodeOf(parseJson(text, 'a Node'));
}

/** The same from a value. */
export function nodeOf(value: unknown): NodeObject {
  const node = asObject(value, 'a Node');
  const metadata = asObject(node['metadata'], "a Node's metadata");
  const name = metadata['name'];
  if (typeof name !== 'string' || !nodeName.test(name))
    throw new JsonError('a Node has no name that Kubernetes allows');
  return {
    name,
    uid: textIn(metadata, 'uid'),
    resourceVersion: textIn(metadata, 'resourceVersion'),
    annotations: new Map(Object.entries(objectIn(metadata, 'annotations')).filter(isText)),
    podCIDRs: cidrsOf(objectIn(node, 'spec')),
  };
}

/** A DNS subdomain: it stands in logs and in the status, so nothing else gets there. */
const nodeName = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/;

function cidrsOf(spec: JsonObject): string[] {
  const { podCIDR, podCIDRs } = spec;
  const all = Array.isArray(podCIDRs) ? podCIDRs.filter((each) => typeof each === 'string') : [];
  return all.length === 0 && typeof podCIDR === 'string' && podCIDR !== '' ? [podCIDR] : all;
}

const isText = (entry: [string, unknown]): entry is [string, string] => typeof entry[1] === 'string';

function textIn(object: JsonObject, key: string): string {
  const value = object[key];
  return typeof value === 'string' ? value : '';
}

function objectIn(object: JsonObject, key: string): JsonObject {
  const value = object[key];
  return isObject(value) ? value : {};
}
