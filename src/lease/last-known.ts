import { asObject, JsonError, kindOf, parseJson } from '../json/go-json.ts';
import { leaseObject, parseLeaseObject } from './document.ts';
import type { Lease } from './lease.ts';

/** What a node knew last: it starts from this when the registry is away. */
export interface LastKnown {
  readonly own: Lease;
  readonly peers: readonly Lease[];
}

/** The state file may be as long as this, in characters: more than 100,000 peers. */
const maxLength = 64 * 1024 * 1024;

/** The state file's text. */
export function lastKnownText({ own, peers }: LastKnown): string {
  const document = (lease: Lease) => ({ id: lease.id, lease: leaseObject(lease) });
  return JSON.stringify({ own: document(own), peers: peers.map(document) });
}

/** Reads it. Throws a {@link JsonError} that says why it is of no use; single peers that make no sense are left out. */
export function parseLastKnown(text: string, source: string): LastKnown {
  const state = asObject(parseJson(text, source, maxLength), source);
  const own = leaseOf(state['own']);
  if (own === undefined) throw new JsonError(`${source} holds no lease of this node`);
  const { peers } = state;
  if (!Array.isArray(peers))
    throw new JsonError(`${source}: peers must be an array, and is ${kindOf(peers)}`);
  return { own, peers: peers.flatMap((peer) => leaseOf(peer) ?? []) };
}

function leaseOf(value: unknown): Lease | undefined {
  if (typeof value !== 'object' || value === null || !('id' in value) || !('lease' in value))
    return undefined;
  if (typeof value.id !== 'string') return undefined;
  const entry = parseLeaseObject(value.id, value.lease);
  return 'lease' in entry ? entry.lease : undefined;
}
