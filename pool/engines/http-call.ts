/** One request to a scheduler's HTTP interface, and its whole answer. */
import { type ClientRequest, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { request as requestTls } from 'node:https';
import { clearTimeout, setTimeout } from '../../link/machine/clock.js';
import { codeOf, FarlightError, messageOf } from '../../proto/errors.js';

/** Where an interface is. */
export interface HttpPlace {
  /** For messages: its name, what a person may do where it does not answer, and where this user may not open its socket. */
  readonly who: string;
  readonly see: string;
  readonly denied: string;
  readonly socketPath?: string;
  readonly host?: string;
  readonly port?: number;
  readonly isSecure?: boolean;
}

export interface HttpCall {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** How long the whole answer may take, in milliseconds. */
  readonly timeout?: number | undefined;
  /** Of a longer answer, its beginning. */
  readonly most?: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

const TIMEOUT_MS = 30_000;
const MOST_BYTES = 8 << 20;

/** @throws FarlightError BAD_OPTION where this user may not open the socket; UNREACHABLE where nothing answers (rejects). */
export function httpCall(place: HttpPlace, call: HttpCall): Promise<HttpAnswer> {
  const { who, see, denied: _, isSecure = false, ...at } = place;
  const { method, path, body, timeout = TIMEOUT_MS, most = MOST_BYTES } = call;
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = {
    ...call.headers,
    ...(text !== undefined && {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(text)),
    }),
  };
  const options: RequestOptions = { ...at, method, path, headers, agent: false };
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => reject(failed(place, error));
    const answered = (answer: IncomingMessage) => collected(answer, most).then(resolve, fail);
    const sent: ClientRequest = (isSecure ? requestTls : request)(options, answered);
    const timer = setTimeout(() => {
      const why = `${who} did not answer within ${timeout / 1000} seconds; ${see}`;
      sent.destroy(new FarlightError('UNREACHABLE', why));
    }, timeout);
    sent.on('close', () => clearTimeout(timer));
    sent.on('error', fail);
    sent.end(text);
  });
}

function collected(answer: IncomingMessage, most: number): Promise<HttpAnswer> {
  const parts: Buffer[] = [];
  let length = 0;
  return new Promise((resolve, reject) => {
    const done = () =>
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(parts) });
    answer.on('data', (part: Buffer) => {
      parts.push(part);
      length += part.length;
      if (length <= most) return;
      done();
      answer.destroy();
    });
    answer.on('end', done);
    answer.on('error', reject);
  });
}

function failed({ who, see, denied }: HttpPlace, error: unknown): FarlightError {
  if (error instanceof FarlightError) return error;
  const code = codeOf(error);
  const cause = { cause: error };
  if (code === 'EACCES') return new FarlightError('BAD_OPTION', denied, cause);
  return new FarlightError(
    'UNREACHABLE',
    `${who} does not answer (${code ?? messageOf(error)}); ${see}`,
    cause,
  );
}
