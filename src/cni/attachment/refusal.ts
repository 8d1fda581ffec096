import { getSystemErrorMap } from 'node:util';
import * as k from '../../netlink/constants.ts';
import type { LinkWrite } from '../../netlink/route/link.ts';
import type { PlannedRoute } from './attachment.ts';
import { isDefaultRoute } from './routes.ts';
import type { Step } from './step.ts';
import { CniError, cniCodes } from '../error.ts';
import { StepError } from './link.ts';
import { SysctlError } from './task.ts';

type Routes = readonly PlannedRoute[];

/**
 * An error of the kernel as a sentence about what was to be done; what is none stays as it is. `routes` are those
 * of the configuration.
 */
export function explain(error: unknown, routes: Routes): unknown {
  if (error instanceof StepError) return explainStep(error, routes);
  return error instanceof SysctlError ? explainSysctl(error) : error;
}

function explainStep({ step, error, link }: StepError, routes: Routes): Error {
  const text = `failed to ${purposeOf(step, link)}: ${error.message}`;
  if (isBadGateway(step, error.code, routes))
    return new CniError(cniCodes.badConfiguration, text, gatewayAdvice);
  const advice = adviceFor(step, error.code);
  return new Error(advice === undefined ? text : `${text}; ${advice}`, { cause: error });
}

/** Only a gateway that the configuration gives to a route can be wrong: others are the subnet's. */
const isBadGateway = (step: Step, code: string, routes: Routes): boolean =>
  step.message === 'newRoute' &&
  ['ENETUNREACH', 'EHOSTUNREACH', 'EINVAL'].includes(code) &&
  routes.some(
    ({ dst, gw }) =>
      gw !== undefined && routeText(step) === `${isDefaultRoute(dst) ? 'default' : dst} via ${gw}`,
  );

const gatewayAdvice =
  "the gateway of a route in ipam.routes must be an address of another in one of the pod's subnets";

function purposeOf(step: Step, link?: string): string {
  switch (step.message) {
    case 'newLink': {
      const name = step.value.IFLA_IFNAME;
      return step.flags === 0 ? `set up ${name} as a port of the bridge` : `create the link ${name}`;
    }
    case 'setLink':
    case 'delLink':
      if (step.value.ifi_family === k.AF_BRIDGE) return `set the VLANs of ${named('port', step, link)}`;
      return `${step.message === 'delLink' ? 'remove' : 'set up'} ${named('link', step, link)}`;
    case 'newAddress':
      return `add address ${step.value.IFA_LOCAL}/${step.value.ifa_prefixlen}`;
    case 'delAddress':
      return `remove address ${step.value.IFA_LOCAL}/${step.value.ifa_prefixlen}`;
    case 'newRoute':
      return `add route '${routeText(step)}'`;
    case 'delNeighbour':
      return `forget the neighbour ${step.value.NDA_DST}`;
  }
}

const named = (what: string, { value }: Step & { value: LinkWrite }, link?: string): string =>
  link === undefined ? `${what} number ${value.ifi_index}` : `${what} ${link}`;

function routeText({ value }: Step & { message: 'newRoute' }): string {
  const dst = value.RTA_DST === undefined ? 'default' : `${value.RTA_DST}/${value.rtm_dst_len}`;
  return value.RTA_GATEWAY === undefined ? dst : `${dst} via ${value.RTA_GATEWAY}`;
}

function adviceFor(step: Step, code: string): string | undefined {
  if (code === 'EPERM') return 'CAP_NET_ADMIN is needed';
  const isAddress = step.message === 'newAddress' && step.value.IFA_LOCAL?.includes(':') === true;
  if (isAddress && ['EACCES', 'EOPNOTSUPP'].includes(code)) return ipv6IsOff;
  if (code === 'EOPNOTSUPP' && step.message !== 'newLink' && isBridgeMessage(step)) return vlansAreOff;
  if (step.message !== 'newLink' || code !== 'EOPNOTSUPP') return undefined;
  const data = step.value.IFLA_LINKINFO?.IFLA_INFO_DATA;
  if (data !== undefined && 'IFLA_BR_VLAN_FILTERING' in data) return vlansAreOff;
  return 'load the kernel modules veth and bridge';
}

const isBridgeMessage = ({ value }: Step): boolean =>
  'ifi_family' in value && value.ifi_family === k.AF_BRIDGE;

export const vlansAreOff =
  'use a kernel with bridge VLAN filtering (CONFIG_BRIDGE_VLAN_FILTERING), or leave vlan and vlanTrunk out';

const ipv6IsOff =
  'IPv6 is off on this host: turn it on (kernel option ipv6.disable, sysctl net.ipv6.conf.all.disable_ipv6), ' +
  'or use a network without IPv6';

function explainSysctl({ sysctl: { where, path, value }, errno }: SysctlError): Error {
  const reason = getSystemErrorMap().get(-errno)?.[1] ?? `errno ${errno}`;
  const place = where === 'pod' ? 'in the pod' : 'on the host';
  const missing = errno === 2 && path.startsWith('net/ipv6/') ? `; ${ipv6IsOff}` : '';
  return new Error(`failed to write ${value} to /proc/sys/${path} ${place}: ${reason}${missing}`);
}
