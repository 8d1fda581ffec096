import type { RulesByFamily } from './node-rules.ts';

/** One way of writing the node-wide rules down. */
export interface RulesWriter {
  readonly name: string;
  /** The kernel does not announce changes of these: whoever wants to know must look. */
  readonly silent: boolean;
  /** Whether the kernel has exactly these, of what this writer writes. Starts no process. Throws a NetlinkError. */
  inPlace(rules: RulesByFamily): boolean;
  /** What {@link put} would write, for people; changes nothing. Rejects with an Error. */
  plan(rules: RulesByFamily): Promise<string[]>;
  /** Makes it so. Rejects with an Error that says what is in the way. */
  put(rules: RulesByFamily): Promise<void>;
}
