import type { IncomingMessage, ServerResponse } from 'node:http';
import { native } from '../../../link/machine/globals.js';
import { FarlightError, type FarlightErrorCode } from '../../../proto/errors.js';

/** A request that HTTP has a status for. The message is a sentence for the client. */
export class HttpError extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/** The most bytes of a request's body. */
const MOST_BYTES = 64 << 10;
const JSON_TYPE = 'application/json; charset=utf-8';

const STATUSES: { readonly [Code in FarlightErrorCode]?: number } = {
  UNAUTHORIZED: 401,
  BAD_OPTION: 404,
  BUSY: 429,
  SHUTTING_DOWN: 503,
  UNREACHABLE: 503,
};

/** One request and its answer. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  /** Aborts when the client has gone before its answer was sent. */
  readonly signal: AbortSignal;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.request = request;
    this.response = response;
    this.url = targetOf(request.url);
    const gone = new native.AbortController();
    this.signal = gone.signal;
    response.once('close', () => {
      if (!response.writableFinished) gone.abort();
    });
  }

  /** The object in the body; an empty one where there is no body. @throws HttpError (rejects) */
  async body(): Promise<Readonly<Record<string, unknown>>> {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of this.request) {
      length += chunk.length;
      if (length > MOST_BYTES)
        throw new HttpError(413, `the body is longer than ${MOST_BYTES} bytes; shorten it`);
      chunks.push(chunk);
    }
    if (length === 0) return {};
    const json = parsed(Buffer.concat(chunks).toString());
    if (typeof json === 'object' && json !== null && !Array.isArray(json))
      return json as Readonly<Record<string, unknown>>;
    throw new HttpError(400, 'the body is not an object of JSON; send one, or nothing');
  }

  json(answer: unknown, status = 200): void {
    this.send(status, JSON.stringify(answer), JSON_TYPE);
  }

  send(
    status: number,
    body: string | Buffer,
    type: string,
    headers: Readonly<Record<string, string>> = {},
  ): void {
    const { response } = this;
    if (response.headersSent || response.destroyed) return;
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    response.writeHead(status, { ...headers, 'content-type': type, 'content-length': bytes.length });
    response.end(this.request.method === 'HEAD' ? undefined : bytes);
  }

  /** @param onBug is told of an error that is no client's. */
  fail(error: unknown, onBug: (error: unknown) => void): void {
    const { status, message, headers } = errorOf(error);
    if (status === 500) onBug(error);
    this.send(status, JSON.stringify({ error: message }), JSON_TYPE, headers);
  }
}

function errorOf(error: unknown): Pick<HttpError, 'status' | 'message' | 'headers'> {
  if (error instanceof HttpError) return error;
  const status = error instanceof FarlightError ? STATUSES[error.code] : undefined;
  if (status === undefined)
    return { status: 500, message: 'the portal has failed; its log says why', headers: {} };
  const headers: Record<string, string> = status === 401 ? { 'www-authenticate': 'Bearer' } : {};
  if (status === 429 || status === 503) headers['retry-after'] = '5';
  return { status, message: (error as FarlightError).message, headers };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @throws HttpError where the target is no path. */
function targetOf(target = ''): URL {
  if (target.startsWith('/') && !target.startsWith('//') && native.URL.canParse(target, 'http://localhost'))
    return new native.URL(target, 'http://localhost');
  throw new HttpError(400, 'the target of the request is no path');
}
