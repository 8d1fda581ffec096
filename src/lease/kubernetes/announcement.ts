import type { AnnotationKeys } from './annotations.ts';
import type { NodeObject } from './node-object.ts';

type Annotations = Readonly<Record<string, string>>;

/**
 * The patches by which a change of this node's annotations is told, one after the other. In dual stack Go flannel passes an update
 * over when the annotations of either family are the same texts as before (an error of its own). So a change of one family
 * goes with a space after the other's data, which means nothing in JSON; a second patch, which nobody notices, takes it away.
 */
export function announcement(change: Annotations, node: NodeObject, keys: AnnotationKeys): Annotations[] {
  const ipv4 = familyOf(change, node, keys.backendData, keys.publicIP);
  const ipv6 = familyOf(change, node, keys.backendV6Data, keys.publicIPv6);
  const isKnown = node.annotations.get(keys.managed) === 'true';
  // The backend's name counts for both.
  if (!isKnown || keys.backendType in change || ipv4.changes === ipv6.changes) return [change];
  const other = ipv4.changes ? ipv6 : ipv4;
  if (other.data === undefined) return [change];
  return [{ ...change, [other.key]: `${other.data} ` }, { [other.key]: other.data }];
}

function familyOf(change: Annotations, { annotations }: NodeObject, dataKey: string, addressKey: string) {
  return { key: dataKey, data: annotations.get(dataKey), changes: dataKey in change || addressKey in change };
}
