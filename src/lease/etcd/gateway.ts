import { HttpClient } from '../../http/client.ts';
import { HttpError } from '../../http/error.ts';
import type { TlsSettings } from '../../http/tls.ts';
import { asObject, JsonError, type JsonObject, parseJson } from '../../json/go-json.ts';
import type { Clock } from '../../world/clock.ts';
import { sentences } from '../../world/sentences.ts';
import { type Asker, EtcdError, failureFor, failureOf } from './etcd-error.ts';
import { lines } from './lines.ts';

export interface EtcdGatewayOptions {
  /** `https://10.0.0.1:2379`: members of one etcd, asked in this order when one does not answer. */
  readonly endpoints: readonly string[];
  readonly tls?: TlsSettings;
  readonly user?: { readonly name: string; readonly password: string };
  readonly readFile: (file: string) => string;
  readonly clock: Clock;
}

/** Milliseconds. */
const connectLimit = 3_000;
const silenceLimit = 10_000;
/** A watch says something every ten minutes (etcd's progress notifications). */
const watchSilenceLimit = 15 * 60_000;
/** Bytes of one answer, or of one message of a watch. etcd sends as much as 512 MB. */
const longestAnswer = 16 * 1024 * 1024;
/** Characters of a refusal of a watch: what it is about stands at the beginning. */
const longestRefusal = 64 * 1024;

interface Endpoint {
  readonly url: string;
  readonly client: HttpClient;
}

/** etcd's JSON gateway: gRPC for those who have none. Tries each endpoint; shows a user's token, and renews it. */
export class EtcdGateway {
  readonly #options: EtcdGatewayOptions;
  readonly #endpoints: readonly Endpoint[];
  /** The endpoint that answered last. */
  #at = 0;
  /** Empty: etcd has no users. */
  #token: Promise<string> | undefined;

  constructor(options: EtcdGatewayOptions) {
    this.#options = options;
    const { tls, readFile, clock } = options;
    this.#endpoints = options.endpoints.map((url) => ({
      url,
      client: new HttpClient({ servers: [url], readFile, clock, ...(tls && { tls }) }),
    }));
  }

  /** For logs: `etcd at http://127.0.0.1:2379`. */
  get name(): string {
    return `etcd at ${this.#options.endpoints.join(', ')}`;
  }

  /** The endpoint to which the next question goes. */
  get endpoint(): string {
    return this.#endpoint.url;
  }

  /** One question, one answer. Rejects with an {@link EtcdError}. */
  call(path: string, question: JsonObject): Promise<JsonObject> {
    return this.#authorized((token) =>
      this.#anywhere((endpoint) => this.#ask(endpoint, path, question, token)),
    );
  }

  /** An answer in many parts, as they come. Throws an {@link EtcdError}. */
  async *stream(path: string, question: JsonObject, signal: AbortSignal): AsyncGenerator<JsonObject> {
    const { endpoint, body } = await this.#authorized((token) =>
      this.#anywhere(async (each) => ({
        endpoint: each,
        body: await this.#open(each, path, question, token, signal),
      })),
    );
    try {
      for await (const line of lines(body, longestAnswer)) yield this.#part(line, endpoint);
    } catch (error) {
      throw asEtcdError(error, endpoint);
    }
  }

  /** A watch was ended for this reason. */
  ended(why: string): EtcdError {
    const failure = failureFor(why, 200, this.#asker(this.#endpoint));
    if (failure.meaning === 'token') this.#token = undefined;
    return failure;
  }

  close(): void {
    for (const { client } of this.#endpoints) client.close();
  }

  get #endpoint(): Endpoint {
    return this.#endpoints[this.#at] as Endpoint;
  }

  #asker({ url }: Endpoint): Asker {
    const { user } = this.#options;
    return { endpoint: url, ...(user && { user: user.name }) };
  }

  async #authorized<T>(work: (token: string) => Promise<T>): Promise<T> {
    try {
      return await work(await this.#authorization());
    } catch (error) {
      if (!(error instanceof EtcdError) || error.meaning !== 'token') throw error;
      this.#token = undefined;
      return work(await this.#authorization());
    }
  }

  #authorization(): Promise<string> {
    const { user } = this.#options;
    if (user === undefined) return Promise.resolve('');
    this.#token ??= this.#authenticate(user).catch((error: unknown) => {
      this.#token = undefined;
      throw error;
    });
    return this.#token;
  }

  async #authenticate(user: { name: string; password: string }): Promise<string> {
    try {
      const ask = (endpoint: Endpoint) => this.#ask(endpoint, '/v3/auth/authenticate', { ...user }, '');
      const { token } = await this.#anywhere(ask);
      return typeof token === 'string' ? token : '';
    } catch (error) {
      if (error instanceof EtcdError && error.meaning === 'no users') return '';
      throw error;
    }
  }

  /** What is asked here may be asked twice: who asks looks again at what is there before it changes it. */
  async #anywhere<T>(work: (endpoint: Endpoint) => Promise<T>): Promise<T> {
    const failures: EtcdError[] = [];
    for (let tried = 0; tried < this.#endpoints.length; tried++) {
      try {
        return await this.#twice(work);
      } catch (error) {
        if (!(error instanceof EtcdError) || error.meaning !== 'elsewhere') throw error;
        failures.push(error);
        this.#at = (this.#at + 1) % this.#endpoints.length;
      }
    }
    throw new EtcdError(sentences(...failures.map(({ message }) => message)), 'elsewhere', failures[0]);
  }

  /** A connection that was kept may have ended meanwhile. */
  async #twice<T>(work: (endpoint: Endpoint) => Promise<T>): Promise<T> {
    const endpoint = this.#endpoint;
    try {
      return await work(endpoint);
    } catch (error) {
      if (!(error instanceof HttpError) || !['ECONNRESET', 'EPIPE'].includes(error.code)) {
        throw asEtcdError(error, endpoint);
      }
    }
    return work(endpoint).catch((error: unknown) => {
      throw asEtcdError(error, endpoint);
    });
  }

  async #ask(endpoint: Endpoint, path: string, question: JsonObject, token: string): Promise<JsonObject> {
    const { status, text } = await endpoint.client.text(request(path, question, token), longestAnswer);
    if (status !== 200) throw failureOf(status, text, this.#asker(endpoint));
    return asObject(parseJson(text, 'the answer', longestAnswer), 'the answer');
  }

  async #open(
    endpoint: Endpoint,
    path: string,
    question: JsonObject,
    token: string,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Buffer>> {
    const { client, url } = endpoint;
    // The first part comes at once, also where nothing may follow for a long time.
    const late = new AbortController();
    const cancel = this.#options.clock.after(silenceLimit, () => late.abort());
    const answer = await client
      .request({
        ...request(path, question, token),
        silence: watchSilenceLimit,
        signal: AbortSignal.any([signal, late.signal]),
      })
      .catch((error: unknown) => {
        if (!late.signal.aborted) throw error;
        throw new EtcdError(
          `${url}${path}: no answer came within ${silenceLimit / 1000} s`,
          'elsewhere',
          error,
        );
      })
      .finally(cancel);
    if (answer.status === 200) return answer.body;
    let text = '';
    for await (const line of lines(answer.body, longestAnswer)) {
      text += line;
      if (text.length > longestRefusal) break;
    }
    throw failureOf(answer.status, text, this.#asker(endpoint));
  }

  #part(line: string, endpoint: Endpoint): JsonObject {
    const { result, error } = asObject(parseJson(line, 'the answer', longestAnswer), 'the answer');
    if (error === undefined) return asObject(result, 'a part of the answer');
    throw failureOf(500, JSON.stringify(error), this.#asker(endpoint));
  }
}

const request = (path: string, question: JsonObject, token: string) => ({
  method: 'POST' as const,
  path,
  // A member that has lost the others must not keep a watch that nothing comes from.
  headers: { 'grpc-metadata-hasleader': 'true', ...(token !== '' && { authorization: token }) },
  body: JSON.stringify(question),
  connect: connectLimit,
  silence: silenceLimit,
});

function asEtcdError(error: unknown, { url }: Endpoint): unknown {
  if (error instanceof HttpError) {
    if (error.code === 'ABORT_ERR') return error;
    const other = otherScheme(error, url);
    const message = other === undefined ? error.message : `${error.message}; or does it want ${other} there?`;
    return new EtcdError(message, error.code === 'EMSGSIZE' ? 'too long' : 'elsewhere', error);
  }
  if (error instanceof JsonError) {
    return new EtcdError(`${url} does not answer as etcd does: ${error.message}`, 'elsewhere', error);
  }
  return error;
}

/** etcd just ends a connection on which the other of TLS and plain text is spoken, in good order or not. */
function otherScheme({ code, reached }: HttpError, url: string): string | undefined {
  if (code !== 'ECONNRESET') return undefined;
  if (url.startsWith('http:')) return 'https://';
  return reached ? undefined : 'http://';
}
