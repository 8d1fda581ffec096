import { type Address, familyOf, isLoopback, isMulticast, isUnspecified } from '../../net/address.ts';
import { containsAddress } from '../../net/prefix.ts';
import type { OptionName } from '../options/options.ts';
import { error, type Finding, named, type ValidationInput, warning } from './finding.ts';

/** Addresses at which nobody reaches anybody. */
export function addresses(input: ValidationInput): Finding[] {
  const { options } = input;
  const given: [OptionName, Address | undefined][] = [
    ['public-ip', options['public-ip']],
    ['public-ipv6', options['public-ipv6']],
    ...options['node-ip'].map((each): [OptionName, Address] => ['node-ip', each]),
    ...options['node-external-ip'].map((each): [OptionName, Address] => ['node-external-ip', each]),
  ];
  const { ipv4, ipv6 } = input.network.config.network;
  return given.flatMap(([option, address]) => {
    if (address === undefined) return [];
    const kind = uselessKind(address);
    if (kind !== undefined) {
      return [
        error(`${named(input, option)} ${address} is ${kind}: other nodes cannot reach this one there`),
      ];
    }
    const pods = [ipv4, ipv6].find((range) => range !== undefined && containsAddress(range, address));
    return pods === undefined
      ? []
      : [
          error(
            `${named(input, option)} ${address} is inside of the flannel network ${pods}: nodes need addresses outside of it`,
          ),
        ];
  });
}

function uselessKind(address: Address): string | undefined {
  if (isLoopback(address)) return 'a loopback address';
  if (isMulticast(address)) return 'a multicast address';
  return isUnspecified(address) ? 'no address of a node' : undefined;
}

/** `--flannel-external-ip` and what it needs. */
export function externalAddresses(input: ValidationInput): Finding[] {
  const { options, network } = input;
  if (!options['flannel-external-ip']) return [];
  const flag = named(input, 'flannel-external-ip');
  const external = options['node-external-ip'];
  if (external.length === 0)
    return [warning(`${flag} has no effect on this node without --node-external-ip`)];
  const source = named(input, 'node-external-ip');
  const contradicting = (['public-ip', 'public-ipv6'] as const).flatMap((option) => {
    const publicAddress = options[option];
    const other = external.find((each) => publicAddress && familyOf(each) === familyOf(publicAddress));
    return publicAddress === undefined || other === undefined || other === publicAddress
      ? []
      : [
          error(
            `${named(input, option)} says ${publicAddress}, ${source} with ${flag} says ${other}: they mean the same, leave one of them out`,
          ),
        ];
  });
  const { backendType } = network.config;
  if (backendType === 'host-gw') {
    return [
      ...contradicting,
      error(
        `${flag} does not go with host-gw, whose nodes are all in one network: leave it out, or use wireguard-native`,
      ),
    ];
  }
  if (backendType === 'wireguard' || backendType === 'ipsec') return contradicting;
  return [
    ...contradicting,
    warning(
      `${flag} with the backend ${backendType} sends the traffic of pods unencrypted over the networks between the nodes: wireguard-native encrypts it`,
    ),
  ];
}
