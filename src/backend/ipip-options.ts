import * as v from 'valibot';
import { flag, readOptions } from './option-schema.ts';

/** net-conf.json's Backend object of type ipip. */
export interface IpipOptions {
  readonly directRouting: boolean;
}

/** As flannel's documents spell them; Go reads them in any letter case. */
export const ipipKeys = ['Type', 'DirectRouting'] as const;

const schema = v.object({ DirectRouting: v.optional(flag('DirectRouting'), false) });

/** `raw` has the keys as in {@link ipipKeys}. Throws a BackendError. */
export function ipipOptions(raw: Readonly<Record<string, unknown>>): IpipOptions {
  return { directRouting: readOptions(schema, raw).DirectRouting };
}
