import { HttpError } from './error.ts';

/** PEM, in a file that is read anew for each request (so a renewed one comes into use), or as it is. */
export type Pem = { readonly file: string } | { readonly text: string };

/** Whom a client trusts, and as whom it comes. */
export interface TlsSettings {
  /** The authorities that the server's certificate may come from; without it, those that the runtime brings along. */
  readonly ca?: Pem;
  /** The client's certificate and key: both or none. */
  readonly cert?: Pem;
  readonly key?: Pem;
  /** The name that the server's certificate must have, where that is not the host's. */
  readonly serverName?: string;
  /** Trusts whatever answers. */
  readonly insecure?: boolean;
}

/** As node:tls takes them. */
export interface TlsOptions {
  ca?: string;
  cert?: string;
  key?: string;
  servername?: string;
  rejectUnauthorized: boolean;
}

/** Throws an {@link HttpError} that names the file which cannot be read. */
export function tlsOptions(
  { ca, cert, key, serverName, insecure = false }: TlsSettings,
  readFile: (file: string) => string,
): TlsOptions {
  const read = (pem: Pem, what: string): string =>
    'text' in pem ? pem.text : pemOf(pem.file, what, readFile);
  return {
    ...(ca && { ca: read(ca, 'the certificate authority') }),
    ...(cert && { cert: read(cert, 'the client certificate') }),
    ...(key && { key: read(key, 'the client key') }),
    ...(serverName !== undefined && { servername: serverName }),
    rejectUnauthorized: !insecure,
  };
}

function pemOf(file: string, what: string, readFile: (file: string) => string): string {
  let text: string;
  try {
    text = readFile(file);
  } catch (error) {
    throw new HttpError(`${what} cannot be read: ${(error as Error).message}`, 'EFILE', error);
  }
  if (text.includes('-----BEGIN ')) return text;
  throw new HttpError(`${what} in ${file} is not PEM: it has no line "-----BEGIN ..."`, 'EFILE');
}
