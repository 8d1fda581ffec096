import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { isIP } from 'node:net';

/** A certificate and its key as PEM. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOptions {
  /** Host names and addresses of a server. */
  readonly names?: readonly string[];
  /** Group in Kubernetes. */
  readonly organization?: string;
  /** Milliseconds since the epoch; an hour ago and an hour ahead. */
  readonly from?: number;
  readonly until?: number;
}

const hour = 3_600_000;

/** A certificate authority of a test's own, made on the spot (X.509, RFC 5280; keys on P-256). */
export class Authority {
  readonly cert: string;
  readonly #name: string;
  readonly #key: KeyObject;

  constructor(name: string) {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#name = name;
    this.#key = privateKey;
    this.cert = this.#sign(
      distinguishedName(name),
      publicKey,
      [extension('551d13', sequence(tlv(0x01, [0xff])))],
      {},
    );
  }

  issue(name: string, options: CertificateOptions = {}): Identity {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { names = [], organization } = options;
    const alternatives = sequence(...names.map(alternativeName));
    const extensions = names.length === 0 ? [] : [extension('551d11', alternatives)];
    return {
      cert: this.#sign(distinguishedName(name, organization), publicKey, extensions, options),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    };
  }

  #sign(subject: Buffer, publicKey: KeyObject, extensions: Buffer[], options: CertificateOptions): string {
    const { from = Date.now() - hour, until = Date.now() + hour } = options;
    const algorithm = sequence(oid('2a8648ce3d040302')); // ecdsa-with-SHA256
    const serial = [1, ...Buffer.from(String(Math.random()).slice(2, 10))];
    const body = sequence(
      tlv(0xa0, tlv(0x02, [2])), // version 3
      tlv(0x02, serial),
      algorithm,
      distinguishedName(this.#name),
      sequence(time(from), time(until)),
      subject,
      publicKey.export({ type: 'spki', format: 'der' }),
      ...(extensions.length > 0 ? [tlv(0xa3, sequence(...extensions))] : []),
    );
    const signature = tlv(0x03, [0, ...sign('sha256', body, this.#key)]);
    const base64 = sequence(body, algorithm, signature).toString('base64').replace(/.{64}/g, '$&\n');
    return `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`;
  }
}

/** DER: a tag, a length, a value. */
function tlv(tag: number, content: Iterable<number>): Buffer {
  const value = Buffer.from([...content]);
  const { length } = value;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), value]);
}

const sequence = (...parts: Buffer[]): Buffer => tlv(0x30, Buffer.concat(parts));
const oid = (hex: string): Buffer => tlv(0x06, Buffer.from(hex, 'hex'));
const utf8 = (text: string): Buffer => tlv(0x0c, Buffer.from(text));
const extension = (id: string, value: Buffer): Buffer => sequence(oid(id), tlv(0x04, value));

function distinguishedName(commonName: string, organization?: string): Buffer {
  const part = (id: string, text: string): Buffer => tlv(0x31, sequence(oid(id), utf8(text)));
  const group = organization === undefined ? [] : [part('55040a', organization)];
  return sequence(...group, part('550403', commonName));
}

function alternativeName(name: string): Buffer {
  const version = isIP(name);
  if (version === 0) return tlv(0x82, Buffer.from(name));
  return tlv(0x87, version === 4 ? name.split('.').map(Number) : ipv6Bytes(name));
}

function ipv6Bytes(address: string): Buffer {
  const [head = [], tail = []] = address
    .split('::')
    .map((half) => half.split(':').filter((group) => group !== ''));
  const groups = [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => '0'), ...tail];
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

/** UTCTime, which ends in 2049. */
function time(ms: number): Buffer {
  return tlv(0x17, Buffer.from(`${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`));
}
