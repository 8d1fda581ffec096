import { CniError, cniCodes } from '../error.ts';
import type { Fields } from './fields.ts';

/** Which VLANs a pod's port is in. */
export interface VlanOptions {
  /** Untagged, 1 to 4094; 0: none. */
  vlan: number;
  /** Tagged, in order. */
  vlanTrunk: readonly number[];
  /** Leave the port in the bridge's default VLAN too. */
  preserveDefaultVlan: boolean;
}

const maxID = 4094;

/** Throws a CniError in the reference's words. */
export function readVlans(fields: Fields): VlanOptions {
  const vlan = fields.integer('vlan') ?? 0;
  if (vlan < 0 || vlan > maxID) throw bad(`invalid VLAN ID ${vlan} (must be between 0 and ${maxID})`);
  const trunk = fields.each('vlanTrunk', ['minID', 'maxID', 'id']).flatMap(idsOf);
  return {
    vlan,
    vlanTrunk: [...new Set(trunk)].toSorted((a, b) => a - b),
    preserveDefaultVlan: fields.boolean('preserveDefaultVlan') ?? false,
  };
}

function idsOf(fields: Fields): number[] {
  const [first, last, id] = [read(fields, 'minID'), read(fields, 'maxID'), read(fields, 'id')];
  const simultaneously = 'minID and maxID should be configured simultaneously';
  if (first === undefined && last !== undefined) throw bad(`${simultaneously}, minID is missing`);
  if (first !== undefined && last === undefined) throw bad(`${simultaneously}, maxID is missing`);
  if (first !== undefined && last !== undefined && first > last) {
    throw bad('minID is greater than maxID in trunk parameter');
  }
  const range =
    first === undefined || last === undefined
      ? []
      : Array.from({ length: last - first + 1 }, (_, i) => first + i);
  return id === undefined ? range : [...range, id];
}

function read(fields: Fields, key: string): number | undefined {
  const id = fields.integer(key);
  if (id !== undefined && (id < 1 || id > maxID)) throw bad(`incorrect trunk ${key} parameter`);
  return id;
}

const bad = (msg: string): CniError => new CniError(cniCodes.badConfiguration, msg);
