import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Running, startFarlight } from '../../support/hosts/farlight-command.js';
import { NatsServer } from '../../support/lines/nats-server.js';
import { killed, until } from '../../support/machine/processes.js';

/** A line that a sink writes to a file. */
export interface Line<Values> {
  readonly id: string;
  readonly offset: number;
  readonly key: string;
  readonly values: Values;
}

/** Real processes that run one application: a server of NATS, a coordinator and workers. */
export class Cluster {
  readonly folder: string;
  readonly server: NatsServer;
  readonly #more: readonly string[];
  readonly #cleanups: (() => unknown)[];
  #workers = 0;

  /** @param more arguments of the coordinator and of each worker. */
  static async start(
    folder: string,
    cleanups: (() => unknown)[],
    more: readonly string[] = [],
  ): Promise<Cluster> {
    const server = await NatsServer.start(join(folder, 'nats'));
    cleanups.push(() => server.kill());
    return new Cluster(folder, server, cleanups, more);
  }

  private constructor(
    folder: string,
    server: NatsServer,
    cleanups: (() => unknown)[],
    more: readonly string[],
  ) {
    this.folder = folder;
    this.server = server;
    this.#cleanups = cleanups;
    this.#more = more;
  }

  get file(): string {
    return join(this.folder, 'app.yaml');
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
  }

  /** Starts the coordinator, which leaves the work to others. */
  coordinate(...args: readonly string[]): Promise<Running> {
    return this.#start(['run', this.file, '--workers', '--no-work', '--listen', 'off', ...args]);
  }

  /** Starts a worker, which has a folder of its own. */
  work(...args: readonly string[]): Promise<Running> {
    return this.#start(this.#worker(args));
  }

  /** Starts a worker that cannot work, and waits until it says so. */
  workInVain(...args: readonly string[]): Promise<Running> {
    return this.#start(this.#worker(args), 'waits');
  }

  /** The whole lines of a sink's file. */
  lines<Values>(name: string): Line<Values>[] {
    const path = join(this.folder, name);
    const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  }

  #worker(args: readonly string[]): string[] {
    this.#workers += 1;
    return ['worker', 'app', '--state', join(this.folder, `worker-${this.#workers}`), ...args];
  }

  async #start(args: readonly string[], word = 'ready'): Promise<Running> {
    const running = startFarlight(
      ['stream', ...args, '--nats', this.server.url, ...this.#more],
      {},
      this.folder,
    );
    this.#cleanups.push(() => killed(running.child));
    await until(() => running.printed.stdout.includes(word) || running.child.exitCode !== null);
    expect(running.printed.stdout, running.printed.stderr).toContain(word);
    return running;
  }
}
