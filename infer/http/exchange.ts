import type { IncomingMessage, ServerResponse } from 'node:http';
import { clearTimeout, setTimeout } from '../../link/machine/clock.js';
import { native } from '../../link/machine/globals.js';
import { PAGE_HEADERS } from '../../page/page-server.js';
import { failureOf } from '../protocol/failures.js';
import type { SharedBudget } from '../service/shared-budget.js';
import { ByteAccount, compressed, encodingFor, HttpRefusal, readBody } from './body.js';

export interface ExchangeOptions {
  /** The most bytes of a body. */
  readonly limit: number;
  /** Of the bytes of requests and answers that the server has in memory, over all connections. */
  readonly budget: SharedBudget;
  /** How long a client may send nothing in the middle of a body, or read nothing of its answer, in milliseconds. */
  readonly idleMs: number;
  /** A bug, for the log. */
  onError(error: unknown): void;
  /** A request was answered with this status. */
  onAnswer(status: number): void;
}

/** How long a client that was refused may go on with its body, in milliseconds: cut off, it would not read the answer. */
const LINGER_MS = 2000;

const JSON_TYPE = 'application/json';
const BINARY_TYPE = 'application/octet-stream';

/** One request and its answer. */
export class Exchange {
  readonly request: IncomingMessage;
  /** Aborts when the client has gone before its answer was sent. */
  readonly signal: AbortSignal;
  readonly #response: ServerResponse;
  readonly #options: ExchangeOptions;
  readonly #account: ByteAccount;

  constructor(request: IncomingMessage, response: ServerResponse, options: ExchangeOptions) {
    this.request = request;
    this.#response = response;
    this.#options = options;
    this.#account = new ByteAccount(options.budget);
    const gone = new native.AbortController();
    this.signal = gone.signal;
    response.once('close', () => {
      this.#account.close();
      if (!response.writableFinished) gone.abort();
    });
  }

  /** Calls back when the answer was sent, or the client has gone. `status` is 0 where it has gone before an answer. */
  onDone(listener: (status: number) => void): void {
    const response = this.#response;
    response.once('close', () => listener(response.headersSent ? response.statusCode : 0));
  }

  /** Ends the connection after the answer. */
  closeAfter(): void {
    if (!this.#response.headersSent) this.#response.setHeader('connection', 'close');
  }

  /** The tenant is known: the memory of the exchange counts for it. Call this before `body`. */
  belongsTo(tenant: string): void {
    this.#account.tenant = tenant;
  }

  /** @param quota also counts the bytes. @throws HttpRefusal, InferenceError (rejects) */
  body(quota?: { take(bytes: number): void }): Promise<Buffer> {
    // The client may wait for this before it sends a long body.
    if (/^100-continue$/i.test(this.request.headers.expect ?? '')) this.#response.writeContinue();
    const { limit, idleMs } = this.#options;
    const take = (bytes: number) => {
      quota?.take(bytes);
      this.#account.take(bytes);
    };
    return readBody(this.request, { limit, idleMs, account: { take } });
  }

  /** Counts memory that the request takes beside its body. @throws InferenceError overloaded */
  take(bytes: number): void {
    this.#account.take(bytes);
  }

  json(answer: unknown): void {
    this.#send(200, [Buffer.from(JSON.stringify(answer))], { 'content-type': JSON_TYPE });
  }

  /** A file of a page. */
  file(bytes: Uint8Array, type: string): void {
    this.#send(200, [bytes], { ...PAGE_HEADERS, 'content-type': type });
  }

  redirect(location: string): void {
    this.#send(308, [], { location });
  }

  /** The response, for an answer that goes on. The caller ends it. */
  stream(): ServerResponse {
    this.#options.onAnswer(200);
    return this.#response;
  }

  text(answer: string, type: string): void {
    this.#send(200, [Buffer.from(answer)], { 'content-type': type });
  }

  /**
   * @param pieces the body. Nobody writes to them any more.
   * @param headerLength the length of the JSON where binary data follows it.
   */
  async tensors(pieces: readonly Uint8Array[], headerLength: number | undefined): Promise<void> {
    const length = lengthOf(pieces);
    this.#account.add(length);
    const encoding = encodingFor(length, this.request.headers['accept-encoding']);
    const body = encoding ? [await compressed(Buffer.concat(pieces), encoding)] : pieces;
    if (encoding) this.#account.add(lengthOf(body));
    this.#send(200, body, {
      'content-type': headerLength === undefined ? JSON_TYPE : BINARY_TYPE,
      ...(headerLength !== undefined && { 'inference-header-content-length': `${headerLength}` }),
      ...(encoding && { 'content-encoding': encoding, vary: 'accept-encoding' }),
    });
  }

  fail(error: unknown): void {
    if (error instanceof HttpRefusal) {
      this.refuse(error.status, error.message, error.headers);
      return;
    }
    const { http, sentence, retryAfter } = failureOf(error, this.#options.onError);
    this.refuse(http, sentence, {
      ...(retryAfter !== undefined && { 'retry-after': `${retryAfter}` }),
      ...(http === 401 && { 'www-authenticate': 'Bearer' }),
    });
  }

  refuse(status: number, sentence: string, headers: Readonly<Record<string, string>> = {}): void {
    const body = Buffer.from(JSON.stringify({ error: sentence }));
    this.#send(status, [body], { 'content-type': JSON_TYPE, ...headers });
  }

  #send(status: number, body: readonly Uint8Array[], headers: Readonly<Record<string, string>>): void {
    const response = this.#response;
    if (response.headersSent || response.destroyed) return;
    this.#options.onAnswer(status);
    response.writeHead(status, { ...headers, 'content-length': lengthOf(body) });
    if (this.request.method !== 'HEAD') for (const piece of body) response.write(piece);
    response.end();
    const { socket } = this.request;
    // A client that does not read its answer keeps it in memory. Node ends a connection that has timed out.
    const watch = () => socket.setTimeout(this.#options.idleMs);
    if (response.socket) watch();
    // An answer to a pipelined request waits for those before it.
    else response.once('socket', watch);
    response.prependOnceListener('finish', () => socket.setTimeout(0));
    if (this.request.complete) return;
    const linger = setTimeout(() => socket.destroy(), LINGER_MS).unref();
    this.request.once('close', () => clearTimeout(linger));
    this.request.resume();
  }
}

function lengthOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}
