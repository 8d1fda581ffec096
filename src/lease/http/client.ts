import http from 'node:http';
import https from 'node:https';
import type { Clock } from '../../world/clock.ts';

/** Certificates and names as node:tls takes them. */
export interface TlsSettings {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  /** The name that the server's certificate must have, where that is not the host's. */
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

export interface HttpRequest {
  readonly method: 'GET' | 'PATCH' | 'POST';
  /** `https://10.96.0.1:443/api/v1/nodes?limit=50` */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly tls?: TlsSettings;
  /** Milliseconds until the answer's head must be there, and each of its parts after the one before. */
  readonly timeout: number;
  /** Milliseconds of silence that are allowed in the body instead. */
  readonly silence?: number;
  readonly signal?: AbortSignal;
  /** Takes the body of a good answer as it comes, instead of collecting it. What it throws ends the request. */
  readonly onChunk?: (chunk: Buffer) => void;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** The body; empty when `onChunk` took it. */
  readonly text: string;
}

/** No answer came, or not all of it: `code` is the system's or TLS's, `ETIMEDOUT` for ours. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly code: string;

  constructor(message: string, code: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** A body that is collected may be as long as this, in bytes. */
const longestBody = 4 * 1024 * 1024;
/** A silent peer is asked after so many milliseconds whether it lives, ten times a second apart (libuv's). */
const keepAliveDelay = 15_000;

/**
 * HTTP over few connections that are kept. Not fetch: that costs twice the memory. Certificates are taken anew for each
 * connection, so ones that are replaced on disk come into use.
 */
export class HttpClient {
  readonly #clock: Clock;
  // Idle connections go before the usual servers (60 s and more) end them.
  readonly #plain = new http.Agent({ keepAlive: true, maxFreeSockets: 2, timeout: 30_000 });
  readonly #secure = new https.Agent({ keepAlive: true, maxFreeSockets: 2, timeout: 30_000 });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Rejects with an {@link HttpError}, or with what `onChunk` throws. */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    try {
      return await this.#once(request);
    } catch (error) {
      // The server had ended the kept connection before it saw the request.
      if (!(error instanceof StaleConnection)) throw error;
      return this.#once({ ...request, headers: { ...request.headers, connection: 'close' } });
    }
  }

  close(): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }

  #once(request: HttpRequest): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const { outgoing, limit } = this.#open(request);
      const finish = (work: () => void): void => {
        limit.end();
        request.signal?.removeEventListener('abort', abort);
        work();
      };
      const fail = (error: Error): void => finish(() => reject(asHttpError(error, outgoing)));
      const abort = (): void => void outgoing.destroy(new HttpError('it was given up', 'ABORT_ERR'));
      if (request.signal?.aborted === true) abort();
      request.signal?.addEventListener('abort', abort);
      outgoing.on('error', fail);
      outgoing.on('socket', (socket) => socket.setKeepAlive(true, keepAliveDelay));
      outgoing.on('response', (response) => {
        const answer = { status: response.statusCode ?? 0, headers: response.headers };
        const body = new Body(answer.status, request.onChunk);
        limit.start(request.silence ?? request.timeout);
        response.on('data', (chunk: Buffer) => {
          limit.start(request.silence ?? request.timeout);
          try {
            body.take(chunk);
          } catch (error) {
            finish(() => reject(error));
            outgoing.destroy();
          }
        });
        response.on('end', () => finish(() => resolve({ ...answer, text: body.text })));
        response.on('error', fail);
      });
      outgoing.end(request.body);
    });
  }

  #open({ method, url, headers, body, tls, timeout }: HttpRequest) {
    const isSecure = url.startsWith('https:');
    const options = {
      method,
      headers: { ...headers, ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }) },
      ...(isSecure ? { ...tls, agent: this.#secure } : { agent: this.#plain }),
    };
    const outgoing = isSecure ? https.request(url, options) : http.request(url, options);
    const limit = new Limit(this.#clock, (ms) => {
      outgoing.destroy(new HttpError(`no answer within ${ms / 1000} s`, 'ETIMEDOUT'));
    });
    limit.start(timeout);
    return { outgoing, limit };
  }
}

/** The body of an answer: handed on when it is a good one, else kept. */
class Body {
  readonly #chunks: Buffer[] = [];
  readonly #onChunk: ((chunk: Buffer) => void) | undefined;
  #length = 0;

  constructor(status: number, onChunk: ((chunk: Buffer) => void) | undefined) {
    this.#onChunk = status >= 200 && status < 300 ? onChunk : undefined;
  }

  take(chunk: Buffer): void {
    if (this.#onChunk !== undefined) return this.#onChunk(chunk);
    this.#length += chunk.length;
    if (this.#length > longestBody) {
      throw new HttpError(`the answer is longer than ${longestBody} bytes`, 'EMSGSIZE');
    }
    this.#chunks.push(chunk);
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString('utf8');
  }
}

/** A deadline that is put off. */
class Limit {
  readonly #clock: Clock;
  readonly #onPassed: (ms: number) => void;
  #cancel: () => void = () => {};

  constructor(clock: Clock, onPassed: (ms: number) => void) {
    this.#clock = clock;
    this.#onPassed = onPassed;
  }

  start(ms: number): void {
    this.#cancel();
    this.#cancel = this.#clock.after(ms, () => this.#onPassed(ms));
  }

  end(): void {
    this.#cancel();
  }
}

class StaleConnection extends HttpError {}

function asHttpError(error: NodeJS.ErrnoException, outgoing: http.ClientRequest): Error {
  if (error instanceof HttpError) return error;
  const { code = 'EPROTO', message } = error;
  const isStale = outgoing.reusedSocket && (code === 'ECONNRESET' || code === 'EPIPE');
  // A server that is not there on either of its addresses: node:net names none of them.
  const text = error instanceof AggregateError ? messagesOf(error) : message;
  return isStale ? new StaleConnection(text, code, error) : new HttpError(text, code, error);
}

const messagesOf = ({ errors }: AggregateError): string =>
  errors.map((each: unknown) => (each instanceof Error ? each.message : String(each))).join('; ');
