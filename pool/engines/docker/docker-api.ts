import { existsSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { clearTimeout, setTimeout } from '../../../link/machine/clock.js';
import { codeOf, FarlightError, messageOf } from '../../../proto/errors.js';

export interface DockerAnswer {
  readonly status: number;
  readonly body: Buffer;
}

export interface DockerCall {
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** How long the daemon may take to answer in full, in milliseconds. */
  readonly timeout?: number;
}

const TIMEOUT_MS = 30_000;
const MOST_BYTES = 8 << 20;

/** The socket of the Docker Engine, as `DOCKER_HOST` or the pool names it. */
export class DockerApi {
  readonly #socket: string;
  /** The newest version of the API that this daemon has. Calls without a version are deprecated. */
  #version: Promise<string> | undefined;

  /** @throws FarlightError BAD_OPTION where Docker's address is none of a socket. */
  constructor(socket: string = process.env.DOCKER_HOST ?? '/var/run/docker.sock') {
    this.#socket = socket.replace(/^unix:\/\//, '');
    if (this.#socket.startsWith('/')) return;
    const why = `Docker is reached by the path of its socket, and not by ${this.#socket}; for another machine, forward the socket (ssh -L)`;
    throw new FarlightError('BAD_OPTION', why);
  }

  /** @throws FarlightError BAD_OPTION where Docker was never started here. While its daemon starts again, that is no mistake. */
  check(): void {
    if (existsSync(this.#socket)) return;
    const why = `Docker does not run here: there is no ${this.#socket}; start it, or set DOCKER_HOST`;
    throw new FarlightError('BAD_OPTION', why);
  }

  /** @throws FarlightError BAD_OPTION where this user may not open the socket; UNREACHABLE where nothing answers (rejects). */
  async call(method: string, path: string, call: DockerCall = {}): Promise<DockerAnswer> {
    const version = await this.#negotiated();
    const query = new URLSearchParams(call.query).toString();
    return collected(await this.#open(method, `/v${version}${path}${query && `?${query}`}`, call));
  }

  #negotiated(): Promise<string> {
    const asked = async () => {
      const answer = await this.#open('GET', '/_ping', {});
      answer.resume();
      return String(answer.headers['api-version'] ?? '1.41');
    };
    this.#version ??= asked().catch((error) => {
      this.#version = undefined;
      throw error;
    });
    return this.#version;
  }

  #open(method: string, path: string, { body, timeout = TIMEOUT_MS }: DockerCall): Promise<IncomingMessage> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers =
      text === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    return new Promise((resolve, reject) => {
      const call = request({ socketPath: this.#socket, method, path, headers, agent: false }, resolve);
      // For the whole answer, whose reader gets the error then.
      const timer = setTimeout(() => {
        const why = `Docker did not answer within ${timeout / 1000} seconds; see that its daemon runs`;
        call.destroy(new FarlightError('UNREACHABLE', why));
      }, timeout);
      call.on('close', () => clearTimeout(timer));
      call.on('error', (error) => reject(this.#notOpened(error)));
      call.end(text);
    });
  }

  #notOpened(error: Error): FarlightError {
    if (error instanceof FarlightError) return error;
    const code = codeOf(error);
    const cause = { cause: error };
    if (code === 'EACCES')
      return new FarlightError(
        'BAD_OPTION',
        `this user may not open ${this.#socket}; join the group docker, or name a socket of your own`,
        cause,
      );
    const why = `Docker does not answer at ${this.#socket} (${code ?? messageOf(error)}); see that its daemon runs`;
    return new FarlightError('UNREACHABLE', why, cause);
  }
}

/** The whole answer. Of a very long one, such as a log, its beginning. */
function collected(answer: IncomingMessage): Promise<DockerAnswer> {
  const parts: Buffer[] = [];
  let length = 0;
  return new Promise((resolve, reject) => {
    const done = () => resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(parts) });
    answer.on('data', (part: Buffer) => {
      parts.push(part);
      length += part.length;
      if (length <= MOST_BYTES) return;
      done();
      answer.destroy();
    });
    answer.on('end', done);
    answer.on('error', (error) =>
      reject(
        error instanceof FarlightError
          ? error
          : new FarlightError('UNREACHABLE', `Docker broke off its answer (${messageOf(error)})`, {
              cause: error,
            }),
      ),
    );
  });
}
