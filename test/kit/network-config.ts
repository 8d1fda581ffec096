import {
  type NetworkConfig,
  networkConfigOf,
  networkFields,
} from '../../src/daemon/network/network-config.ts';

/** net-conf.json without an option beside it. */
export function readNetworkConfig(text: string): NetworkConfig {
  const source = 'net-conf.json';
  return networkConfigOf(networkFields(text, source), source);
}
