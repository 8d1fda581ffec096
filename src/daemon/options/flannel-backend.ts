import type { JsonObject } from '../../json/go-json.ts';
import { goInteger } from './go-flags.ts';

/** What K3s's `--flannel-backend` asks for. */
export interface FlannelBackend {
  /** net-conf.json's Backend object, as K3s writes it. */
  readonly backend: JsonObject;
  /** The keys of it that were asked for: the others are only K3s's usual values. */
  readonly asked: readonly string[];
  /** What the operator should know, a sentence each. */
  readonly warnings: readonly string[];
}

/** As K3s has it for all of wireguard: peers behind NAT stay within reach. Seconds. */
const keepalive = 25;

const backends: Readonly<Record<string, JsonObject>> = {
  vxlan: { Type: 'vxlan' },
  'host-gw': { Type: 'host-gw' },
  'wireguard-native': { Type: 'wireguard', PersistentKeepaliveInterval: keepalive },
  wireguard: { Type: 'wireguard', PersistentKeepaliveInterval: keepalive },
  ipsec: { Type: 'ipsec', UDPEncap: true },
  none: { Type: 'none' },
};

const current = 'vxlan, host-gw, wireguard-native, none';

const warnings: Readonly<Record<string, string>> = {
  wireguard:
    'is K3s\'s old name, taken as "wireguard-native": nodes that still run the old one are out of reach until they are changed too',
  ipsec: 'is deprecated, and gone from K3s since 1.27: change all nodes to "wireguard-native"',
};

const modes = ['separate', 'auto', 'ipv4', 'ipv6'];

/** Reads `name` or K3s's old `name=option=value,option=value`. A string says what is wrong with it. */
export function flannelBackend(text: string): FlannelBackend | string {
  const equals = text.indexOf('=');
  const name = equals === -1 ? text : text.slice(0, equals);
  const usual = Object.hasOwn(backends, name) ? backends[name] : undefined;
  if (usual === undefined) {
    return `there is no backend ${JSON.stringify(name)}: K3s has ${current}; others are named by Backend.Type in net-conf.json`;
  }
  const told = warnings[name] === undefined ? [] : [`${JSON.stringify(name)} ${warnings[name]}`];
  if (equals === -1) return { backend: usual, asked: ['Type'], warnings: told };
  if (usual['Type'] !== 'wireguard') {
    return `${name} takes no options here: put them into net-conf.json, and name it by --flannel-conf`;
  }
  const given = optionsOf(text.slice(equals + 1));
  if (typeof given === 'string') return given;
  const old =
    'options after the name are an old way that K3s has removed: put them into net-conf.json, and name it by --flannel-conf';
  return {
    backend: { ...usual, ...given },
    asked: ['Type', ...Object.keys(given)],
    warnings: [...told, old],
  };
}

/** K3s's first versions had the mode alone, without its name. */
function optionsOf(text: string): JsonObject | string {
  const given: JsonObject = {};
  for (const part of text.split(',')) {
    const [key, value] = part.includes('=') ? part.split('=', 2) : ['Mode', part];
    if (key === 'Mode' && value !== undefined && modes.includes(value)) given['Mode'] = value;
    else if (key === 'PersistentKeepaliveInterval' && seconds(value) !== undefined) {
      given['PersistentKeepaliveInterval'] = seconds(value);
    } else {
      return `${JSON.stringify(part)} is no option of wireguard-native: there are Mode (${modes.join(', ')}) and PersistentKeepaliveInterval (0 to 65535, in seconds)`;
    }
  }
  return given;
}

function seconds(text = ''): number | undefined {
  const value = goInteger(text);
  return value !== undefined && value >= 0 && value <= 65_535 ? value : undefined;
}
