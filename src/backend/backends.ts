import { foldKeys } from '../json/go-json.ts';
import { alloc } from './alloc.ts';
import type { Backend } from './backend.ts';
import { BackendError } from './error.ts';
import type { PodNetwork } from '../lease/lease.ts';
import { extension } from './extension.ts';
import { extensionKeys, extensionOptions } from './extension-options.ts';
import type { Families } from './families.ts';
import { hostGw } from './host-gw.ts';
import { ipip } from './ipip.ts';
import { ipipKeys, ipipOptions } from './ipip-options.ts';
import { vxlan } from './vxlan.ts';
import { vxlanKeys, vxlanOptions } from './vxlan-options.ts';
import { wireguard } from './wireguard.ts';
import { wireguardKeys, wireguardOptions } from './wireguard-options.ts';

/** What a backend is made from. */
export interface BackendInput {
  /** net-conf.json's Backend object as it is written. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly network: PodNetwork;
}

interface Parts extends BackendInput {
  readonly families: Families;
}

const makers: Readonly<Record<string, (parts: Parts) => Backend>> = {
  vxlan: ({ options, families }) => vxlan(vxlanOptions(foldKeys(options, vxlanKeys)), families),
  'host-gw': ({ families }) => hostGw(families),
  ipip: ({ options, families }) => ipip(ipipOptions(foldKeys(options, ipipKeys)), families),
  alloc: () => alloc,
  wireguard: ({ options, network }) => wireguard(wireguardOptions(foldKeys(options, wireguardKeys)), network),
  extension({ options, families }) {
    // The commands are the daemon's; what is wrong with them is found here, before anything is touched.
    extensionOptions(foldKeys(options, extensionKeys));
    return extension(families);
  },
};

/** Go flannel's other backends, and what to do without them. */
const others: Readonly<Record<string, string>> = {
  udp: 'it would copy every packet through a user process; use "vxlan", which every Linux kernel has',
  'tencent-vpc': 'it is for that cloud alone; use "vxlan"',
  ipsec:
    'this version of Flannelette does not have it yet; use "wireguard", which encrypts as well and needs no daemon',
  none: 'with it flanneld stands aside, and there is nothing to plan',
};

/** The backend of that name: net-conf.json's Backend.Type, in lower case. Throws a {@link BackendError}. */
export function makeBackend(type: string, input: BackendInput): Backend {
  const make = Object.hasOwn(makers, type) ? makers[type] : undefined;
  const { ipv4, ipv6 } = input.network;
  const families = { ipv4: ipv4 !== undefined, ipv6: ipv6 !== undefined };
  if (make !== undefined) return make({ ...input, families });
  const isAbsent = type === 'udp' && Object.keys(input.options).length === 0;
  const what = isAbsent ? 'Backend is missing, which means "udp"' : `Backend.Type is ${JSON.stringify(type)}`;
  throw new BackendError(`net-conf.json: ${what}: ${adviceFor(type)}`);
}

function adviceFor(type: string): string {
  const advice = Object.hasOwn(others, type) ? others[type] : undefined;
  if (advice !== undefined) return advice;
  const known = Object.keys(makers).join(', ');
  return `there is no such backend; use one of: ${known}`;
}
