/**
 * No answer came, or not all of it. The message names the request and the cause, and says what mends it; `code` is the
 * system's or TLS's, or one of ours: `ETIMEDOUT`, `ABORT_ERR`, `EMSGSIZE`, `EFILE` (a certificate or key cannot be read).
 */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly code: string;
  /** Whether the server can have seen the request: there was a connection, with TLS where that was asked for. */
  readonly reached: boolean;

  constructor(message: string, code: string, cause?: unknown, reached = false) {
    super(message, { cause });
    this.code = code;
    this.reached = reached;
  }
}

/** The failure of one request as a sentence. `what` is `GET https://10.96.0.1/version`, without its query. */
export function explainFailure(what: string, error: NodeJS.ErrnoException, reached: boolean): HttpError {
  if (error instanceof HttpError) return error;
  const code = error.code ?? 'EPROTO';
  const hint = hintFor(code, error.message);
  return new HttpError(
    `${what}: ${causeOf(error)}${hint === undefined ? '' : `; ${hint}`}`,
    code,
    error,
    reached,
  );
}

/** A server that is reached by none of its addresses: node:net names them in the parts alone. Of OpenSSL's lines the reason is enough. */
function causeOf(error: Error): string {
  if (!(error instanceof AggregateError)) {
    return /:SSL routines:[^:]*:([^:]+):/.exec(error.message)?.[1] ?? error.message;
  }
  return error.errors
    .map((each: unknown) => (each instanceof Error ? each.message : String(each)))
    .join(', ');
}

function hintFor(code: string, message: string): string | undefined {
  if (message.includes('wrong version number') || message.includes('packet length too long')) {
    return 'the server does not speak TLS there: http:// instead of https://?';
  }
  if (/alert (certificate required|bad certificate|unknown ca)/.test(message)) {
    return 'the server wants a client certificate that it trusts';
  }
  if (code.startsWith('HPE_'))
    return 'what answers there does not speak HTTP: is the address right, and is it https?';
  return hints[code];
}

const hints: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there: is the server up, and is this its address?',
  ECONNRESET: 'the server ended the connection: look at its log',
  EHOSTUNREACH: "there is no way to it: look at this node's routes",
  ENETUNREACH: "there is no way to it: look at this node's routes",
  ENOTFOUND: 'the name is not known: look at /etc/resolv.conf, or use an address',
  EAI_AGAIN: 'the name server does not answer: look at /etc/resolv.conf, or use an address',
  CERT_HAS_EXPIRED: "the server's certificate has expired: renew it, or set this node's clock",
  CERT_NOT_YET_VALID: "the server's certificate is not valid yet: set this node's clock",
  ERR_TLS_CERT_ALTNAME_INVALID: "the server's certificate is for another name: use that name in the URL",
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted(),
  SELF_SIGNED_CERT_IN_CHAIN: untrusted(),
  UNABLE_TO_GET_ISSUER_CERT: untrusted(),
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted(),
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted(),
  CERT_SIGNATURE_FAILURE: untrusted(),
};

function untrusted(): string {
  return "the server's certificate is not signed by the authority that was given: give the right one";
}
