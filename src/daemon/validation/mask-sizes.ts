import type { Family } from '../../net/address.ts';
import { prefixFamily, prefixLength } from '../../net/prefix.ts';
import { goInteger } from '../options/go-flags.ts';
import { error, type Finding, named, type ValidationInput } from './finding.ts';

/** kube-controller-manager hands out subnets of this length unless told otherwise. */
const usualLength = { 4: 24, 6: 64 } as const;
/** It keeps count of so many subnets: 2 to the power of this. */
const most = 16;
/** kube-apiserver's services: so many bits after the prefix. */
const serviceBits = 20;

/** Ranges that are too small or too large for those who hand out parts of them. */
export function maskSizes(input: ValidationInput): Finding[] {
  const { options } = input;
  const cluster = options['cluster-cidr'].flatMap((range) => {
    const family = prefixFamily(range);
    const [own, subnet] = [prefixLength(range), subnetLength(input, family)];
    const mend = `make the range larger, or give --kube-controller-manager-arg=node-cidr-mask-size-ipv${family}=N`;
    if (own > subnet) {
      return [
        error(
          `${named(input, 'cluster-cidr')} ${range} is smaller than a node's subnet, a /${subnet}: ${mend}`,
        ),
      ];
    }
    if (family === 6 && subnet - own > most) {
      return [
        error(
          `${named(input, 'cluster-cidr')} ${range} has room for more subnets (/${subnet}) than kube-controller-manager can count: ` +
            `its length must be ${subnet - most} at least`,
        ),
      ];
    }
    return [];
  });
  const services = options['service-cidr'].flatMap((range) => {
    const least = (prefixFamily(range) === 4 ? 32 : 128) - serviceBits;
    return prefixLength(range) >= least
      ? []
      : [
          error(
            `${named(input, 'service-cidr')} ${range} is too large: its length must be ${least} at least`,
          ),
        ];
  });
  return [...cluster, ...services];
}

function subnetLength({ options }: ValidationInput, family: Family): number {
  const given = options['kube-controller-manager-arg'].flatMap((argument) => {
    const [, own, value = ''] = /^-{0,2}node-cidr-mask-size(?:-ipv([46]))?=(.*)$/.exec(argument) ?? [];
    return own === undefined || Number(own) === family ? (goInteger(value) ?? []) : [];
  });
  return given.at(-1) ?? usualLength[family];
}
