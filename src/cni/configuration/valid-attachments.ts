import type { Owner } from '../../ipam/entry.ts';
import type { JsonObject } from '../../json/go-json.ts';
import { badField, Fields } from './fields.ts';

/** The key since 2024, and the one of the specification's own tag 1.1.0. */
const keys = ['cni.dev/valid-attachments', 'cni.dev/attachments'];

/**
 * Which attachments a GC must keep: what either key lists. null is an empty list (CRI-O sends it when no pod is left).
 * Undefined when neither key is there: then nobody has said what is valid, and nothing may go. Throws a CniError.
 */
export function readValidAttachments(document: JsonObject): Owner[] | undefined {
  if (!Object.keys(document).some((key) => keys.includes(key.toLowerCase()))) return undefined;
  const fields = new Fields(document, '', keys);
  return keys.flatMap((key) =>
    fields.each(key, ['containerID', 'ifname']).map((each, i) => {
      const containerID = each.string('containerID') ?? '';
      const ifname = each.string('ifname') ?? '';
      // An attachment that cannot be understood must not make others look like leftovers.
      if (containerID !== '' && ifname !== '') return { containerID, ifname };
      throw badField(`${key}[${i}] must have a containerID and an ifname`);
    }),
  );
}
