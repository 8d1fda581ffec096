import * as k from '../../src/netlink/constants.ts';
import { type NeighbourMessage, neighbour } from '../../src/netlink/route/neighbour.ts';
import type { FakeKernel } from './fake-kernel.ts';
import { Refusal } from './refusal.ts';

const ENODEV = 19;
const EEXIST = 17;
const ENOENT = 2;

export function newNeighbour(kernel: FakeKernel, value: NeighbourMessage, flags: number): void {
  if (!kernel.links.has(value.ndm_ifindex)) throw new Refusal(ENODEV);
  const append = (flags & k.NLM_F_APPEND) !== 0;
  const existing = kernel.neighbours.find((other) => keyOf(other, append) === keyOf(value, append));
  if (existing !== undefined && (flags & k.NLM_F_EXCL) !== 0) throw new Refusal(EEXIST);
  if (existing === undefined && (flags & k.NLM_F_CREATE) === 0) throw new Refusal(ENOENT);
  const made = { ...value, NDA_LLADDR: value.NDA_LLADDR ?? existing?.NDA_LLADDR };
  kernel.neighbours = [...kernel.neighbours.filter((other) => other !== existing), made];
  kernel.announce('NEW', 'NEIGH', neighbour, made);
}

export function delNeighbour(kernel: FakeKernel, value: NeighbourMessage): void {
  if (!kernel.links.has(value.ndm_ifindex)) throw new Refusal(ENODEV);
  const withRemote = value.ndm_family === k.AF_BRIDGE && value.NDA_DST !== undefined;
  const existing = kernel.neighbours.find((other) => keyOf(other, withRemote) === keyOf(value, withRemote));
  if (existing === undefined) throw new Refusal(ENOENT);
  kernel.neighbours = kernel.neighbours.filter((other) => other !== existing);
  kernel.announce('DEL', 'NEIGH', neighbour, existing);
}

export function dumpNeighbours(kernel: FakeKernel, filter: NeighbourMessage): NeighbourMessage[] {
  const index = filter.ndm_ifindex || filter.NDA_IFINDEX;
  return kernel.neighbours.filter(
    (entry) =>
      (filter.ndm_family === k.AF_UNSPEC
        ? entry.ndm_family !== k.AF_BRIDGE
        : entry.ndm_family === filter.ndm_family) &&
      (index === undefined || index === 0 || entry.ndm_ifindex === index) &&
      (filter.NDA_MASTER === undefined || entry.NDA_MASTER === filter.NDA_MASTER),
  );
}

/** A neighbour is known by its address, an FDB entry by its MAC (and its remote where several are appended). */
function keyOf(value: NeighbourMessage, withRemote: boolean): string {
  const { ndm_family, ndm_ifindex, NDA_DST, NDA_LLADDR } = value;
  if (ndm_family !== k.AF_BRIDGE) return `${ndm_family} ${ndm_ifindex} ${NDA_DST}`;
  return `${ndm_family} ${ndm_ifindex} ${String(NDA_LLADDR)} ${withRemote ? NDA_DST : ''}`;
}
