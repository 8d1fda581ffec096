import { RegistryError } from '../registry.ts';

/** The annotations of a Node by which flannel daemons know each other: their whole names. */
export interface AnnotationKeys {
  /** `true` on a node that has a lease. */
  readonly managed: string;
  readonly backendType: string;
  /** JSON text. */
  readonly backendData: string;
  readonly backendV6Data: string;
  /** Where peers reach the node. */
  readonly publicIP: string;
  readonly publicIPv6: string;
  /** Set by an administrator: told to the peers in place of the node's own. */
  readonly publicIPOverwrite: string;
  readonly publicIPv6Overwrite: string;
  /** Set by an administrator: as `--public-ip` and `--public-ipv6`. */
  readonly nodePublicIP: string;
  readonly nodePublicIPv6: string;
}

export const defaultPrefix = 'flannel.alpha.coreos.com';

/** A DNS name with a dot, a slash, and part of a name that ends in a hyphen, if anything. */
const wholePrefix =
  /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\/(?:[a-z0-9_-]+-)?$/;

/**
 * As Go flannel reads `--kube-annotation-prefix`: `x.com` makes `x.com/backend-type`, `x.com/p` makes `x.com/p-backend-type`.
 * Throws a permanent {@link RegistryError} for anything else.
 */
export function annotationKeys(prefix: string): AnnotationKeys {
  const slashed = prefix.includes('/') ? prefix : `${prefix}/`;
  const whole = /[/-]$/.test(slashed) ? slashed : `${slashed}-`;
  if (!wholePrefix.test(whole)) {
    throw new RegistryError(
      `--kube-annotation-prefix=${prefix} is no prefix for annotations: it must be a DNS name in lower case with at ` +
        'least one dot, and may have one slash and part of a name after it, as in "example.com/pods"',
      { permanent: true },
    );
  }
  return {
    managed: `${whole}kube-subnet-manager`,
    backendType: `${whole}backend-type`,
    backendData: `${whole}backend-data`,
    backendV6Data: `${whole}backend-v6-data`,
    publicIP: `${whole}public-ip`,
    publicIPv6: `${whole}public-ipv6`,
    publicIPOverwrite: `${whole}public-ip-overwrite`,
    publicIPv6Overwrite: `${whole}public-ipv6-overwrite`,
    nodePublicIP: `${whole}node-public-ip`,
    nodePublicIPv6: `${whole}node-public-ipv6`,
  };
}
