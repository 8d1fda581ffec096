import type http from 'node:http';
import type { Clock } from '../world/clock.ts';
import { sentences } from '../world/sentences.ts';
import { HttpError } from './error.ts';
import { Exchange, type HttpAnswer } from './exchange.ts';
import { type TlsSettings, tlsOptions } from './tls.ts';

export interface HttpClientOptions {
  /** `https://10.96.0.1:443`, with a path in front of every request's if there is one. The next is tried when one cannot be reached. */
  readonly servers: readonly string[];
  readonly tls?: TlsSettings;
  /** Asked for each request: a token, say. What it throws is the request's failure. */
  readonly headers?: () => Readonly<Record<string, string>>;
  readonly readFile: (file: string) => string;
  readonly clock: Clock;
}

export interface HttpRequest {
  readonly method: 'GET' | 'PATCH' | 'POST';
  /** `/api/v1/nodes?limit=50` */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Milliseconds until the server must have been reached, TLS included; 10 s. */
  readonly connect?: number;
  /** Milliseconds of silence that are allowed, before the answer and in it; 30 s. Time that the reader takes does not count. */
  readonly silence?: number;
  /** The same within the answer, where that may be longer: in a watch. */
  readonly bodySilence?: number;
  readonly signal?: AbortSignal;
}

const connectLimit = 10_000;
const silenceLimit = 30_000;
/** A body that is collected may be as long as this, in bytes. */
const longestText = 4 * 1024 * 1024;
/** Idle connections end before the usual servers (60 s and more) end them. */
const agentOptions = { keepAlive: true, maxFreeSockets: 2, timeout: 30_000 };

type Scheme = 'http' | 'https';

/** node:https takes 8 MB of memory: only who speaks it has it. */
const load = <S extends Scheme>(scheme: S) => process.getBuiltinModule(`node:${scheme}`);

/**
 * HTTP(S) over few connections that are kept. By node:http, not fetch, which costs twice the memory. No proxy is asked. Status
 * codes are the caller's business, redirects too.
 */
export class HttpClient {
  readonly #options: HttpClientOptions;
  readonly #agents = new Map<Scheme, http.Agent>();
  /** The server that the next request goes to first. */
  #at = 0;

  constructor(options: HttpClientOptions) {
    this.#options = options;
  }

  /** Resolves when the answer begins. Rejects with an {@link HttpError}, or with what `headers` throws. */
  async request(request: HttpRequest): Promise<HttpAnswer> {
    const { servers } = this.#options;
    const failures: HttpError[] = [];
    for (let tried = 0; tried < servers.length; tried++) {
      const exchange = this.#open(request);
      try {
        return await exchange.answer;
      } catch (error) {
        if (!(error instanceof HttpError) || error.code === 'ABORT_ERR') throw error;
        if (exchange.metClosedConnection(error) && request.method !== 'POST') {
          return this.#open(request, { connection: 'close' }).answer;
        }
        this.#at = (this.#at + 1) % servers.length;
        // The server may have done what was asked: whether to ask again is not for us to say.
        if (error.reached) throw error;
        failures.push(error);
      }
    }
    const [first] = failures;
    if (first !== undefined && failures.length === 1) throw first;
    throw new HttpError(sentences(...failures.map(({ message }) => message)), first?.code ?? 'EINVAL', first);
  }

  /** The same with the whole body as text. An answer longer than `longest` bytes is an {@link HttpError}. */
  async text(
    request: HttpRequest,
    longest = longestText,
  ): Promise<{ readonly status: number; readonly headers: http.IncomingHttpHeaders; readonly text: string }> {
    const { status, headers, body } = await this.request(request);
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of body) {
      length += chunk.length;
      if (length > longest) {
        const what = `${request.method} ${request.path.split('?')[0]}`;
        throw new HttpError(
          `${what}: the answer is longer than ${longest} bytes`,
          'EMSGSIZE',
          undefined,
          true,
        );
      }
      chunks.push(chunk);
    }
    return { status, headers, text: Buffer.concat(chunks).toString('utf8') };
  }

  /** Ends all connections, and what is under way on them. */
  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
  }

  #agent(scheme: Scheme): http.Agent {
    const known = this.#agents.get(scheme);
    if (known !== undefined) return known;
    const agent = new (load(scheme).Agent)(agentOptions);
    this.#agents.set(scheme, agent);
    return agent;
  }

  #open(request: HttpRequest, extra: Readonly<Record<string, string>> = {}): Exchange {
    const { method, path, body, connect = connectLimit, silence = silenceLimit, signal } = request;
    const { bodySilence = silence } = request;
    const { servers, clock, tls = {}, readFile } = this.#options;
    const url = new URL((servers[this.#at] ?? '').replace(/\/+$/, '') + path);
    const headers = {
      ...this.#options.headers?.(),
      ...request.headers,
      ...extra,
      ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }),
    };
    const outgoing =
      url.protocol === 'https:'
        ? load('https').request(url, {
            method,
            headers,
            ...tlsOptions(tls, readFile),
            agent: this.#agent('https'),
          })
        : load('http').request(url, { method, headers, agent: this.#agent('http') });
    const what = `${method} ${url.protocol}//${url.host}${url.pathname}`;
    const exchange = new Exchange({
      what,
      outgoing,
      clock,
      connect,
      silence,
      bodySilence,
      ...(signal && { signal }),
    });
    outgoing.end(body);
    return exchange;
  }
}
