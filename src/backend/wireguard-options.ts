import * as v from 'valibot';
import { parseSecret, type Secret } from '../wireguard/key.ts';
import { BackendError } from './error.ts';
import { integer, readOptions } from './option-schema.ts';

/**
 * Through what nodes reach each other. `separate`: one tunnel a family, each over its own family. Else one tunnel for both:
 * over IPv4, over IPv6, or over what `auto` finds fit for each peer.
 */
const modes = ['separate', 'auto', 'ipv4', 'ipv6'] as const;
export type WireguardMode = (typeof modes)[number];

/** net-conf.json's Backend object of type wireguard; flannel's defaults are filled in. */
export interface WireguardOptions {
  readonly mode: WireguardMode;
  /** UDP. */
  readonly listenPort: number;
  /** UDP, of the second tunnel in mode `separate`. */
  readonly listenPortV6: number;
  /** Of the underlay, in bytes; undefined: the interface's. */
  readonly mtu: number | undefined;
  /** One for all pairs of nodes. */
  readonly presharedKey: Secret | undefined;
  /** Seconds; 0: none. */
  readonly keepalive: number;
}

/** As flannel's documents spell them; Go reads them in any letter case. */
export const wireguardKeys = [
  'Type',
  'Mode',
  'ListenPort',
  'ListenPortV6',
  'MTU',
  'PSK',
  'PersistentKeepaliveInterval',
] as const;

/** IPv4's smallest MTU (RFC 791) on the inside, plus the tunnel's 80 bytes. */
const smallestMtu = 68 + 80;

const schema = v.object({
  Mode: v.optional(
    v.picklist(
      modes,
      ({ received }) =>
        `Backend.Mode must be "separate", "auto", "ipv4" or "ipv6", in lower case, and is ${received}`,
    ),
    'separate',
  ),
  ListenPort: v.optional(integer('ListenPort', 1, 65_535), 51_820),
  ListenPortV6: v.optional(integer('ListenPortV6', 1, 65_535), 51_821),
  MTU: v.optional(
    integer('MTU', smallestMtu, 65_535, " (or 0: the interface's)", (value) => value === 0),
    0,
  ),
  // What is wrong with a secret is not quoted.
  PSK: v.optional(
    v.pipe(
      v.string('Backend.PSK must be a string'),
      v.check(
        (text) => text === '' || parseSecret(text) !== undefined,
        'Backend.PSK must be 32 bytes in base64: make one with "wg genpsk"',
      ),
    ),
    '',
  ),
  PersistentKeepaliveInterval: v.optional(integer('PersistentKeepaliveInterval', 0, 65_535, ' seconds'), 0),
});

/** `raw` has the keys as in {@link wireguardKeys}; others are passed over, as Go does. Throws a {@link BackendError}. */
export function wireguardOptions(raw: Readonly<Record<string, unknown>>): WireguardOptions {
  const { Mode, ListenPort, ListenPortV6, MTU, PSK, PersistentKeepaliveInterval } = readOptions(schema, raw);
  if (Mode === 'separate' && ListenPort === ListenPortV6) {
    throw new BackendError(
      `net-conf.json: Backend.ListenPort and Backend.ListenPortV6 are both ${ListenPort}: in mode "separate" they ` +
        'are ports of two devices; set another one, or another Mode',
    );
  }
  return {
    mode: Mode,
    listenPort: ListenPort,
    listenPortV6: ListenPortV6,
    mtu: MTU === 0 ? undefined : MTU,
    presharedKey: PSK === '' ? undefined : parseSecret(PSK),
    keepalive: PersistentKeepaliveInterval,
  };
}
