import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { freePort } from '../machine/free-port.js';

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
    while (!(await canConnect(this.#port))) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
