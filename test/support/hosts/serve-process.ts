import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { until } from '../machine/processes.js';
import { type Printed, startFarlight } from './farlight-command.js';

/** A line of a host's log. */
export type LogLine = Record<string, unknown> & { level: string; msg: string };

/**
 * The arguments of a host that needs nothing that another host of this machine may have: neither a port nor a store.
 * Those that stand behind them count instead.
 */
export const SERVE_ALONE: readonly string[] = [
  ...['serve', '--listen', '127.0.0.1:0', '--dashboard', '127.0.0.1:0'],
  ...['--adapter', 'null', '--contents', 'off'],
];

/**
 * The address for clients, of what `farlight serve` has printed: with its first token where it has just made one, which
 * is in a file where no terminal shows it. Empty where none is printed.
 */
export function addressIn(stdout: string): string {
  const [, file] = /^token: part of the address in (.+), which only this user/m.exec(stdout) ?? [];
  if (file !== undefined) return readFileSync(file, 'utf8').trim();
  return /ready: (\S+)/.exec(stdout)?.[1] ?? '';
}

/** `farlight serve` on the null adapter, in a process of its own. */
export class ServeProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  readonly #printed: Readonly<Printed>;

  private constructor(args: string[]) {
    const { child, printed, done } = startFarlight([...SERVE_ALONE, ...args]);
    this.child = child;
    this.#printed = printed;
    this.ended = done.then(({ code }) => code);
  }

  /** Resolves when it is ready. */
  static async start(...args: string[]): Promise<ServeProcess> {
    const server = new ServeProcess(args);
    await until(() => server.stdout.includes('adapter:') || server.child.exitCode !== null);
    return server;
  }

  get stdout(): string {
    return this.#printed.stdout;
  }

  get stderr(): string {
    return this.#printed.stderr;
  }

  get url(): string {
    return addressIn(this.stdout);
  }

  /** What it has logged, as far as whole lines have come. Throws where a line is no JSON. */
  get log(): LogLine[] {
    const lines = this.stderr.split('\n');
    // Behind the last line feed is the beginning of a line, or nothing.
    return lines.slice(0, -1).map((line) => JSON.parse(line));
  }

  /** Resolves to the first line with this message, once it is there. */
  async logged(msg: string): Promise<LogLine> {
    await until(() => this.log.some((line) => line.msg === msg));
    return this.log.find((line) => line.msg === msg) as LogLine;
  }
}
