import type { Dns } from '../../ipam/resolv-conf.ts';
import type { JsonObject } from '../../json/go-json.ts';
import { isUnicastMac, type Mac, parseMac } from '../../net/mac.ts';
import { ETH_MAX_MTU, ETH_MIN_MTU, IPV6_MIN_MTU } from '../../netlink/constants.ts';
import type { BridgeOptions } from '../attachment/attachment.ts';
import { type CniArgs, parseCniArgs } from './cni-args.ts';
import { delegateText } from './delegate.ts';
import type { Delegated } from './delegated.ts';
import { CniError, cniCodes } from '../error.ts';
import { badField, Fields } from './fields.ts';
import { readHostLocal } from './host-local.ts';
import { flawOf, maxNameBytes, whyNeverMade } from '../attachment/link-name.ts';
import { readVlans } from './vlans.ts';

/** The reference bridge's, and those that flannel adds. */
const keys = [
  'bridge',
  'isGateway',
  'isDefaultGateway',
  'forceAddress',
  'ipMasq',
  'ipMasqBackend',
  'mtu',
  'hairpinMode',
  'promiscMode',
  'vlan',
  'vlanTrunk',
  'preserveDefaultVlan',
  'macspoofchk',
  'enabledad',
  'disableContainerInterface',
  'portIsolation',
  'dns',
  'ipam',
  'runtimeConfig',
  'args',
];

/**
 * Understands the configuration of a bridge delegate with host-local as the reference plugins do, and what CNI_ARGS
 * ask for. Throws a CniError, or an IpamError in host-local's words.
 */
export function readBridge(delegate: JsonObject, args: CniArgs, cniVersion: string): Delegated {
  const fields = new Fields(delegate, 'delegate', keys);
  const options = readOptions(fields);
  const ipam = readHostLocal(fields, args, cniVersion);
  refuseMtu(options, ipam.sets);
  return {
    text: delegateText(delegate),
    options,
    ipMasq: fields.boolean('ipMasq') ?? false,
    ipMasqBackend: readBackend(fields),
    mac: readMac(fields, args),
    ipam,
    dns: readDns(fields),
  };
}

/** The kernel has no such link, or no IPv6 on it, and says so in words of its own. */
function refuseMtu({ mtu }: BridgeOptions, sets: Delegated['ipam']['sets']): void {
  if (mtu === 0) return;
  const hasIpv6 = sets.flat().some(({ family }) => family === 6);
  const [least, who] = hasIpv6 ? [IPV6_MIN_MTU, 'IPv6'] : [ETH_MIN_MTU, 'a link'];
  const refuse = (why: string, advice: string) => refused(`the MTU of the pods, ${mtu}, is ${why}`, advice);
  if (mtu < least) {
    const otherwise = hasIpv6 ? ', or use a network without IPv6' : '';
    throw refuse(
      `less than ${who} needs, which is ${least}`,
      `raise FLANNEL_MTU or delegate.mtu${otherwise}`,
    );
  }
  if (mtu > ETH_MAX_MTU) {
    throw refuse(`more than a link can have, which is ${ETH_MAX_MTU}`, 'lower FLANNEL_MTU or delegate.mtu');
  }
}

function readOptions(fields: Fields): BridgeOptions {
  const flag = (key: string) => fields.boolean(key) ?? false;
  const options = {
    bridge: readName(fields),
    isGateway: flag('isGateway') || flag('isDefaultGateway'),
    isDefaultGateway: flag('isDefaultGateway'),
    forceAddress: flag('forceAddress'),
    mtu: fields.unsigned('mtu') ?? 0,
    hairpinMode: flag('hairpinMode'),
    promiscMode: flag('promiscMode'),
    portIsolation: flag('portIsolation'),
    enabledad: flag('enabledad'),
    ...readVlans(fields),
  };
  if (options.hairpinMode && options.promiscMode) {
    throw refused('cannot set hairpin mode and promiscuous mode at the same time');
  }
  if (flag('disableContainerInterface')) {
    throw refused('cannot use IPAM when DisableContainerInterface flag is set');
  }
  if (flag('macspoofchk')) {
    throw new CniError(
      cniCodes.unsupportedField,
      'delegate.macspoofchk is true, and this plugin cannot do that',
      'leave it out, or set it to false',
    );
  }
  return options;
}

function readName(fields: Fields): string {
  const name = fields.string('bridge') || 'cni0';
  const why = whyNeverMade(name);
  if (flawOf(name) === undefined && why === undefined) return name;
  const wanted = `must be the name of a link, at most ${maxNameBytes} bytes, and is "${name}"`;
  throw badField(`${fields.path('bridge')} ${wanted}${why === undefined ? '' : `: ${why}`}`);
}

function readBackend(fields: Fields): Delegated['ipMasqBackend'] {
  const backend = fields.string('ipMasqBackend') || undefined;
  if (backend === undefined || backend === 'iptables' || backend === 'nftables') return backend;
  throw refused(`unknown ipmasq backend "${backend}"`, 'it is "iptables" or "nftables"');
}

/** What the container runtime asks for goes before `args`, and that before CNI_ARGS. */
function readMac(fields: Fields, args: CniArgs): Mac | undefined {
  const runtime = fields.below('runtimeConfig', ['mac']).string('mac');
  const cni = fields.below('args', ['cni']).below('cni', ['mac']).string('mac');
  const text = runtime || cni || args.mac;
  if (text === undefined || text === '') return undefined;
  const mac = parseMac(text);
  if (mac !== undefined && isUnicastMac(mac)) return mac;
  const flaw = mac === undefined ? 'is none' : "is no single link's";
  throw refused(
    `the MAC address that is asked for, "${text}", ${flaw}`,
    'write six bytes, of which the first is even and not all are zero: 02:00:00:00:00:01',
  );
}

/** What of CNI_ARGS is looked at. Throws a CniError. */
export function readArgs(text: string): CniArgs {
  try {
    return parseCniArgs(text);
  } catch (error) {
    throw new CniError(cniCodes.badEnvironment, (error as Error).message, 'CNI_ARGS is KEY=VALUE;KEY=VALUE');
  }
}

/** In place of IPAM's as soon as one of its keys is there. */
function readDns(fields: Fields): Dns | undefined {
  const dns = fields.below('dns', ['nameservers', 'domain', 'search', 'options']);
  const domain = dns.string('domain') || undefined;
  const [nameservers, search, options] = ['nameservers', 'search', 'options'].map((key) => dns.strings(key));
  if ([domain, nameservers, search, options].every((value) => value === undefined)) return undefined;
  const list = (name: string, values?: readonly string[]) => values?.length && { [name]: values };
  return {
    ...list('nameservers', nameservers),
    ...(domain && { domain }),
    ...list('search', search),
    ...list('options', options),
  };
}

const refused = (msg: string, details = ''): CniError =>
  new CniError(cniCodes.badConfiguration, msg, details);
