import type { IncomingMessage } from 'node:http';
import type { Transform } from 'node:stream';
import { promisify } from 'node:util';
import { createGunzip, createInflate, deflate, gzip, type ZlibOptions } from 'node:zlib';
import { clearTimeout, setTimeout } from '../../link/machine/clock.js';
import { native } from '../../link/machine/globals.js';
import { InferenceError } from '../service/service.js';
import type { SharedBudget } from '../service/shared-budget.js';

/** A request that HTTP itself has a status for. */
export class HttpRefusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/** The bytes of one request and its answer, until both are done. */
export class ByteAccount {
  readonly #budget: SharedBudget;
  /** The bytes count for this tenant; empty until it is known. */
  tenant = '';
  #own = 0;
  #closed = false;

  constructor(budget: SharedBudget) {
    this.#budget = budget;
  }

  /** @throws InferenceError overloaded */
  take(bytes: number): void {
    if (!this.#closed && !this.#budget.take(this.tenant, bytes)) {
      const message = 'the server has as many requests in its memory as it may have; try again later';
      throw new InferenceError('overloaded', message, { retryAfter: 1 });
    }
    if (!this.#closed) this.#own += bytes;
  }

  /** Counts bytes that are there already. */
  add(bytes: number): void {
    if (this.#closed) return;
    this.#own += bytes;
    this.#budget.add(this.tenant, bytes);
  }

  close(): void {
    this.#closed = true;
    this.#budget.add(this.tenant, -this.#own);
    this.#own = 0;
  }
}

export interface BodyOptions {
  /** The most bytes, as they are sent and as they are after decompression. */
  readonly limit: number;
  /** Counts the bytes as they come. @throws InferenceError */
  readonly account: { take(bytes: number): void };
  /** How long a client may send nothing in the middle of a body, in milliseconds. */
  readonly idleMs: number;
}

/** @throws HttpRefusal, InferenceError (rejects) */
export async function readBody(request: IncomingMessage, options: BodyOptions): Promise<Buffer> {
  const { limit, account } = options;
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  const decompression = DECOMPRESSIONS[encoding];
  if (decompression === undefined) {
    const message = `the body has the encoding ${JSON.stringify(encoding.slice(0, 40))}; send gzip, deflate, or none`;
    throw new HttpRefusal(415, message, { 'accept-encoding': 'gzip, deflate' });
  }
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLong(limit);
  const body = await collect(request, options);
  if (decompression === 'none') return body;
  try {
    return await decompressed(body, decompression(), { limit, account });
  } catch (cause) {
    if (cause instanceof InferenceError || cause instanceof HttpRefusal) throw cause;
    throw new InferenceError('invalid', `the body is not what its content-encoding says, ${encoding}`, {
      cause,
    });
  }
}

function tooLong(limit: number): HttpRefusal {
  return new HttpRefusal(
    413,
    `the body is longer than the ${limit} bytes that the server takes; its owner sets the limit with --max-request`,
  );
}

function collect(request: IncomingMessage, { limit, account, idleMs }: BodyOptions): Promise<Buffer> {
  return new native.Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const idle = setTimeout(() => fail(slow()), idleMs).unref();
    const fail = (error: unknown) => {
      clearTimeout(idle);
      request.off('data', take);
      chunks.length = 0;
      reject(error);
    };
    const take = (chunk: Buffer) => {
      idle.refresh();
      length += chunk.length;
      try {
        if (length > limit) throw tooLong(limit);
        account.take(chunk.length);
      } catch (error) {
        fail(error);
        return;
      }
      chunks.push(chunk);
    };
    let isRead = false;
    const gone = () => {
      if (!isRead) fail(new InferenceError('cancelled', 'the client has gone'));
    };
    request.on('data', take);
    request.once('end', () => {
      isRead = true;
      clearTimeout(idle);
      // A body in one piece is not copied.
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
      chunks.length = 0;
    });
    request.once('close', gone);
    request.once('error', gone);
  });
}

/** Counts the bytes of a chunk before the next one is made: short bodies may become long ones. */
function decompressed(
  body: Uint8Array,
  stream: Transform,
  { limit, account }: Pick<BodyOptions, 'limit' | 'account'>,
): Promise<Buffer> {
  return new native.Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    stream.on('data', (chunk: Buffer) => {
      length += chunk.length;
      try {
        if (length > limit) throw tooLong(limit);
        account.take(chunk.length);
        chunks.push(chunk);
      } catch (error) {
        chunks.length = 0;
        stream.destroy();
        reject(error);
      }
    });
    stream.once('end', () => resolve(Buffer.concat(chunks)));
    stream.once('error', reject);
    stream.end(body);
  });
}

function slow(): HttpRefusal {
  return new HttpRefusal(408, 'the body did not go on for too long; send it again');
}

/** The bytes of one chunk of a decompressed body. */
const CHUNK = 64 << 10;

const DECOMPRESSIONS: Readonly<Record<string, 'none' | (() => Transform)>> = {
  __proto__: null as never,
  identity: 'none',
  gzip: () => createGunzip({ chunkSize: CHUNK }),
  deflate: () => createInflate({ chunkSize: CHUNK }),
};

/** By their names in `Accept-Encoding`, the better one first. */
const COMPRESSIONS = {
  gzip: promisify<Uint8Array, ZlibOptions, Buffer>(gzip),
  deflate: promisify<Uint8Array, ZlibOptions, Buffer>(deflate),
} as const;

export type Encoding = keyof typeof COMPRESSIONS;

/** Shorter answers are not compressed. */
const WORTH_COMPRESSING = 1024;

/** The encoding that the client has asked for with `Accept-Encoding`; undefined: none, or it would not pay. */
export function encodingFor(length: number, acceptEncoding: string | undefined): Encoding | undefined {
  if (length < WORTH_COMPRESSING || acceptEncoding === undefined) return undefined;
  const accepted = acceptedEncodings(acceptEncoding);
  return (Object.keys(COMPRESSIONS) as Encoding[]).find((name) => accepted.has(name));
}

export function compressed(bytes: Uint8Array, encoding: Encoding): Promise<Buffer> {
  return COMPRESSIONS[encoding](bytes, { level: 1 });
}

function acceptedEncodings(header: string): Set<string> {
  const accepted = new Set<string>();
  for (const each of header.slice(0, 256).split(',')) {
    const [name = '', ...parameters] = each.split(';').map((part) => part.trim().toLowerCase());
    if (!parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))) accepted.add(name);
  }
  return accepted;
}
