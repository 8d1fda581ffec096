import type { Family } from './host.ts';

export type Verb = 'ADD' | 'DEL';

/** One line of the measurement: who, doing what, under which load. */
export interface Cell {
  readonly family: Family;
  readonly pods: number;
  readonly atOnce: number;
  readonly verb: Verb;
}

/** How many times faster than the reference the median has to be, with flanneld. */
export function wantedRatio({ pods, atOnce, verb }: Cell): number {
  if (pods >= 250) return verb === 'ADD' ? 6 : 7;
  const [one, eight, many] = verb === 'ADD' ? [4.5, 6, 9] : [10, 8, 6];
  return atOnce >= 32 ? many : atOnce >= 8 ? eight : one;
}

/** CPU time of an ADD, launcher and daemon together: at most this share of the reference's. */
export const wantedCpuShare = 1 / 5;
/** p90 of a dual-stack ADD: at most this many times its median. */
export const wantedTail = 2;
/** The median of flannel alone, one at a time: at most this many times the reference's. */
export const wantedAlone = 4;
/** p99 of a repair, in milliseconds. */
export const wantedRepairMs = 100;
/** The same for rules of the legacy iptables, whose changes nobody announces. */
export const wantedLegacyRuleMs = 1500;

/** flanneld's start until all routes are there, and its CPU time until then, in milliseconds. */
export const wantedScale: ReadonlyMap<number, { readonly startMs?: number; readonly cpuMs?: number }> =
  new Map([
    [1, { startMs: 161 }],
    [1000, { startMs: 200 }],
    [5000, { startMs: 600, cpuMs: 700 }],
  ]);
/** Resident memory once it idles. */
export const wantedIdleRssMB = (peers: number): number => (peers > 1000 ? 75 : 65);
/** With next-hop objects, for 5,000. */
export const wantedNexthopStartMs = 400;
/** In ten seconds of rest: the work of timers. */
export const wantedIdle = { cpuMs: 50 };
/** Memory is flat when it has not grown by more after 10,000 changes, or 10,000 pods. */
export const wantedGrowthMB = 5;
/** CPU time of a change of one peer, in milliseconds. */
export const wantedUpdateCpuMs = 5;
