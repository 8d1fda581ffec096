import * as v from 'valibot';
import { flag, integer, readOptions } from './option-schema.ts';

/** net-conf.json's Backend object of type vxlan; flannel's defaults are filled in. */
export interface VxlanOptions {
  readonly vni: number;
  /** UDP. */
  readonly port: number;
  /** Of the underlay, in bytes; undefined: the interface's. */
  readonly mtu: number | undefined;
  readonly learning: boolean;
  readonly gbp: boolean;
  readonly directRouting: boolean;
}

/** As flannel's documents spell them; Go reads them in any letter case. */
export const vxlanKeys = ['Type', 'VNI', 'Port', 'MTU', 'Learning', 'GBP', 'DirectRouting'] as const;

/** What the kernel takes when no port is set. */
const defaultPort = 8472;
/** IPv4's smallest MTU (RFC 791) on the inside, plus the tunnel's 50 bytes. */
const smallestMtu = 68 + 50;

const isZero = (value: number): boolean => value === 0;

const schema = v.object({
  VNI: v.optional(integer('VNI', 1, 16_777_215), 1),
  Port: v.optional(integer('Port', 1, 65_535, ` (or 0: ${defaultPort})`, isZero), 0),
  MTU: v.optional(integer('MTU', smallestMtu, 65_535, " (or 0: the interface's)", isZero), 0),
  Learning: v.optional(flag('Learning'), false),
  GBP: v.optional(flag('GBP'), false),
  DirectRouting: v.optional(flag('DirectRouting'), false),
});

/** `raw` has the keys as in {@link vxlanKeys}; others are passed over, as Go does. Throws a BackendError. */
export function vxlanOptions(raw: Readonly<Record<string, unknown>>): VxlanOptions {
  const { VNI, Port, MTU, Learning, GBP, DirectRouting } = readOptions(schema, raw);
  return {
    vni: VNI,
    port: Port === 0 ? defaultPort : Port,
    mtu: MTU === 0 ? undefined : MTU,
    learning: Learning,
    gbp: GBP,
    directRouting: DirectRouting,
  };
}
