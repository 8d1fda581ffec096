import { ConfigurationError } from '../network/network-config.ts';

/**
 * This node's name in the cluster: the one given, else the host's, in lower case. A host without a name, or one called
 * "localhost" like all others, must be told: throws a {@link ConfigurationError}.
 */
export function nodeNameOf(given: string, hostname: string): string {
  if (given !== '') return given.toLowerCase();
  const name = hostname.toLowerCase();
  if (name !== '' && name !== '(none)' && !name.includes('localhost')) return name;
  const why = name === '' || name === '(none)' ? 'this host has no name' : `this host is called "${name}"`;
  throw new ConfigurationError(undefined, [
    `${why}, which cannot be the name of a node: name it by --node-name or K3S_NODE_NAME`,
  ]);
}
