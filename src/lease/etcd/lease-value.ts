import { goJson, JsonError } from '../../json/go-json.ts';
import { parseLeaseAttributes } from '../document.ts';
import type { LeaseAttributes } from '../lease.ts';
import type { Entry } from '../registry.ts';
import type { Subnets } from './subnet-key.ts';

/** No honest value is longer, in bytes. */
const longest = 64 * 1024;

/** A lease's value, byte for byte as Go flannel writes it: empty parts are left out, but `PublicIPv6` is null. */
export function leaseValue({ publicIP, publicIPv6, ...backend }: LeaseAttributes): string {
  const { backendType, backendData, backendV6Data } = backend;
  return goJson({
    PublicIP: publicIP ?? '0.0.0.0',
    PublicIPv6: publicIPv6 ?? null,
    ...(backendType !== '' && { BackendType: backendType }),
    BackendData: backendData ?? undefined,
    BackendV6Data: backendV6Data ?? undefined,
  });
}

/** Reads what stands below the key of `subnets`. */
export function parseLeaseValue(id: string, subnets: Subnets, value: Uint8Array): Entry {
  if (value.length > longest) {
    return { unreadable: `its value has ${value.length} bytes; ${longest} are allowed` };
  }
  try {
    const { publicIP, ...attributes } = parseLeaseAttributes(value);
    const isNone = publicIP === undefined || publicIP === '0.0.0.0';
    return { lease: { id, ...subnets, attributes: { ...(!isNone && { publicIP }), ...attributes } } };
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return { unreadable: error.message };
  }
}
