import * as v from 'valibot';
import { readOptions, text } from './option-schema.ts';

/** net-conf.json's Backend object of type extension: what the shell runs, and when; empty: nothing. */
export interface ExtensionOptions {
  /** Before the lease is taken; what it prints goes into the lease. */
  readonly preStartup: string;
  /** When there is a lease. */
  readonly postStartup: string;
  /** When flanneld is stopped in good order. */
  readonly shutdown: string;
  /** For each peer that comes. */
  readonly subnetAdd: string;
  /** For each peer that goes. */
  readonly subnetRemove: string;
}

/** As flannel's documents spell them; Go reads them in any letter case. */
export const extensionKeys = [
  'Type',
  'PreStartupCommand',
  'PostStartupCommand',
  'ShutdownCommand',
  'SubnetAddCommand',
  'SubnetRemoveCommand',
] as const;

const command = (key: string) => v.optional(text(key), '');

const schema = v.object({
  PreStartupCommand: command('PreStartupCommand'),
  PostStartupCommand: command('PostStartupCommand'),
  ShutdownCommand: command('ShutdownCommand'),
  SubnetAddCommand: command('SubnetAddCommand'),
  SubnetRemoveCommand: command('SubnetRemoveCommand'),
});

/** `raw` has the keys as in {@link extensionKeys}. Throws a BackendError. */
export function extensionOptions(raw: Readonly<Record<string, unknown>>): ExtensionOptions {
  const options = readOptions(schema, raw);
  return {
    preStartup: options.PreStartupCommand.trim(),
    postStartup: options.PostStartupCommand.trim(),
    shutdown: options.ShutdownCommand.trim(),
    subnetAdd: options.SubnetAddCommand.trim(),
    subnetRemove: options.SubnetRemoveCommand.trim(),
  };
}
