import { existsSync } from 'node:fs';
import { FarlightError } from '../../../proto/errors.js';
import { type HttpAnswer, type HttpPlace, httpCall } from '../http-call.js';

export interface DockerCall {
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** How long the daemon may take to answer in full, in milliseconds. */
  readonly timeout?: number;
}

/** The socket of the Docker Engine, as `DOCKER_HOST` or the pool names it. */
export class DockerApi {
  readonly #socket: string;
  readonly #place: HttpPlace;
  /** The newest version of the API that this daemon has. Calls without a version are deprecated. */
  #version: Promise<string> | undefined;

  /** @throws FarlightError BAD_OPTION where Docker's address is none of a socket. */
  constructor(socket: string = process.env.DOCKER_HOST ?? '/var/run/docker.sock') {
    const path = socket.replace(/^unix:\/\//, '');
    this.#socket = path;
    this.#place = {
      who: `Docker at ${path}`,
      see: 'see that its daemon runs',
      denied: `this user may not open ${path}; join the group docker, or name a socket of your own`,
      socketPath: path,
    };
    if (path.startsWith('/')) return;
    const why = `Docker is reached by the path of its socket, and not by ${path}; for another machine, forward the socket (ssh -L)`;
    throw new FarlightError('BAD_OPTION', why);
  }

  /** @throws FarlightError BAD_OPTION where Docker was never started here. While its daemon starts again, that is no mistake. */
  check(): void {
    if (existsSync(this.#socket)) return;
    const why = `Docker does not run here: there is no ${this.#socket}; start it, or set DOCKER_HOST`;
    throw new FarlightError('BAD_OPTION', why);
  }

  /** @throws FarlightError BAD_OPTION where this user may not open the socket; UNREACHABLE where nothing answers (rejects). */
  async call(method: string, path: string, call: DockerCall = {}): Promise<HttpAnswer> {
    const version = await this.#negotiated();
    const { query: asked, ...rest } = call;
    const query = new URLSearchParams(asked).toString();
    return httpCall(this.#place, { ...rest, method, path: `/v${version}${path}${query && `?${query}`}` });
  }

  #negotiated(): Promise<string> {
    const asked = async () => {
      const { headers } = await httpCall(this.#place, { method: 'GET', path: '/_ping' });
      return String(headers['api-version'] ?? '1.41');
    };
    this.#version ??= asked().catch((error) => {
      this.#version = undefined;
      throw error;
    });
    return this.#version;
  }
}
