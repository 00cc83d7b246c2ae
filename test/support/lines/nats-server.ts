import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { freePort } from '../machine/free-port.js';
import { killed, listening } from '../machine/processes.js';

/** Whether this machine has the server. */
export const HAS_NATS = spawnSync('nats-server', ['--version']).status === 0;

/** A server of NATS with JetStream, which can be killed and started again with what it had. */
export class NatsServer {
  readonly #folder: string;
  readonly #port: number;
  readonly #more: readonly string[];
  #process: ChildProcess | undefined;

  static async start(folder: string, more: readonly string[] = []): Promise<NatsServer> {
    const server = new NatsServer(folder, await freePort(), more);
    await server.start();
    return server;
  }

  private constructor(folder: string, port: number, more: readonly string[]) {
    this.#folder = folder;
    this.#port = port;
    this.#more = more;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const args = ['-js', '-sd', this.#folder, '-a', '127.0.0.1', '-p', String(this.#port), ...this.#more];
    this.#process = spawn('nats-server', args, { stdio: 'ignore' });
    await listening(this.#process, this.#port);
  }

  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child) await killed(child);
  }
}
