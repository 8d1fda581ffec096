import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../world/clock.ts';
import { explainFailure, HttpError } from './error.ts';

/** An answer whose body is still to come. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /**
   * The body as it comes, to be read once. Throws an {@link HttpError} when it does not come whole. Who does not want all
   * of it leaves the loop; who wants none says {@link discard}.
   */
  readonly body: AsyncIterable<Buffer>;
  discard(): void;
}

export interface ExchangeOptions {
  /** For messages: `GET https://10.96.0.1/version`. */
  readonly what: string;
  readonly outgoing: ClientRequest;
  readonly clock: Clock;
  /** Milliseconds. */
  readonly connect: number;
  readonly silence: number;
  readonly bodySilence: number;
  readonly signal?: AbortSignal;
}

/** A silent peer is asked after so many milliseconds whether it lives, then once a second (libuv's choice). */
const keepAliveDelay = 15_000;

/** One request and its answer on one connection, with the time that it may take. */
export class Exchange {
  /** Resolves when the answer begins, rejects with an {@link HttpError}. */
  readonly answer: Promise<HttpAnswer>;
  readonly #options: ExchangeOptions;
  #reached = false;
  #cancelLimit: () => void = () => {};
  /** Why we ended it ourselves: what Node reports then is no news. */
  #reason: HttpError | undefined;
  #fail: (error: Error) => void = () => {};

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.answer = new Promise((resolve, reject) => {
      this.#fail = (error) => {
        this.#end();
        reject(this.#explain(error));
      };
      this.#listen((response) => resolve(this.#answerOf(response)));
    });
  }

  /** The connection was one that had been kept, and the server had ended it. */
  metClosedConnection(error: HttpError): boolean {
    return this.#options.outgoing.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
  }

  #listen(onAnswer: (response: IncomingMessage) => void): void {
    const { outgoing, connect, silence, signal } = this.#options;
    this.#limit(connect, 'it was not reached');
    outgoing.on('socket', (socket: Socket) => {
      const reached = (): void => {
        this.#reached = true;
        this.#limit(silence, 'no answer came');
      };
      socket.setKeepAlive(true, keepAliveDelay);
      if (outgoing.reusedSocket) reached();
      else socket.once('encrypted' in socket ? 'secureConnect' : 'connect', reached);
    });
    outgoing.on('error', this.#fail);
    // Node takes a 101 that nobody asked for as the end, without a word.
    const ended = (): void => this.#fail(connectionEnded());
    outgoing.on('close', ended);
    outgoing.on('response', (response) => {
      outgoing.off('close', ended);
      onAnswer(response);
    });
    signal?.addEventListener('abort', this.#abort);
    if (signal?.aborted === true) this.#abort();
  }

  #answerOf(response: IncomingMessage): HttpAnswer {
    this.#cancelLimit();
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      body: this.#body(response),
      discard: () => {
        this.#end();
        response.destroy();
      },
    };
  }

  /** Leaving the loop early destroys the response, and the connection with it. */
  async *#body(response: IncomingMessage): AsyncIterable<Buffer> {
    const { bodySilence } = this.#options;
    try {
      this.#limit(bodySilence, 'it fell silent');
      for await (const chunk of response) {
        this.#cancelLimit();
        yield chunk as Buffer;
        this.#limit(bodySilence, 'it fell silent');
      }
    } catch (error) {
      throw this.#explain(error as Error);
    } finally {
      this.#end();
    }
  }

  #limit(ms: number, what: string): void {
    this.#cancelLimit();
    this.#cancelLimit = this.#options.clock.after(ms, () => {
      this.#giveUp(`${what} within ${ms / 1000} s`, 'ETIMEDOUT');
    });
  }

  readonly #abort = (): void => this.#giveUp('it was given up', 'ABORT_ERR');

  #giveUp(why: string, code: string): void {
    this.#reason ??= new HttpError(`${this.#options.what}: ${why}`, code, undefined, this.#reached);
    this.#options.outgoing.destroy(this.#reason);
  }

  #explain(error: Error): HttpError {
    return this.#reason ?? explainFailure(this.#options.what, error, this.#reached);
  }

  #end(): void {
    this.#cancelLimit();
    this.#options.signal?.removeEventListener('abort', this.#abort);
  }
}

const connectionEnded = (): Error =>
  Object.assign(new Error('the connection ended without an answer'), { code: 'ECONNRESET' });
