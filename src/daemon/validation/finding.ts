import type { Address } from '../../net/address.ts';
import type { PodNetwork } from '../../lease/lease.ts';
import type { Prefix } from '../../net/prefix.ts';
import type { Sources } from '../options/configuration.ts';
import type { EffectiveNetwork } from '../network/effective-network.ts';
import type { OptionName, Options } from '../options/options.ts';

/** A network that the node is in, or a route that it has. */
export interface NodeRange {
  readonly range: Prefix;
  readonly link: string;
  /** The node's address in it; undefined: it is the destination of a route. */
  readonly address?: Address;
}

export interface ValidationInput {
  readonly options: Options;
  readonly sources: Sources;
  readonly network: EffectiveNetwork;
  readonly nodeRanges: readonly NodeRange[];
  /** This node's subnets of before: what lies in them is the pods'. */
  readonly previous: readonly Prefix[];
  /** Whether the node was in this very network before. Asked only where something overlaps. */
  wasIn(network: PodNetwork): boolean;
}

/** An error is in the way of a start, a warning is not, a hint may be what is wanted. */
export interface Finding {
  readonly severity: 'error' | 'warning' | 'hint';
  readonly text: string;
}

export const error = (text: string): Finding => ({ severity: 'error', text });
export const warning = (text: string): Finding => ({ severity: 'warning', text });
export const hint = (text: string): Finding => ({ severity: 'hint', text });

/** How the operator knows it. */
export const named = ({ sources }: ValidationInput, option: OptionName): string =>
  sources.get(option) ?? `--${option}`;
