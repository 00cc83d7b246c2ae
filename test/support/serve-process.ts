import { type ChildProcess, spawn } from 'node:child_process';
import { CLI, until } from './session-client.js';

/** A line of a host's log. */
export type LogLine = Record<string, unknown> & { level: string; msg: string };

/** `farlight serve` on the null adapter, in a process of its own. */
export class ServeProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  stdout = '';
  stderr = '';

  private constructor(args: string[]) {
    const all = ['serve', '--listen', '127.0.0.1:0', '--adapter', 'null', '--blobs', 'off', ...args];
    this.child = spawn(process.execPath, [CLI, ...all]);
    for (const name of ['stdout', 'stderr'] as const) {
      this.child[name]?.on('data', (text) => {
        this[name] += text;
      });
    }
    this.ended = new Promise((resolve) => this.child.on('close', (code) => resolve(code)));
  }

  /** Resolves when it is ready. */
  static async start(...args: string[]): Promise<ServeProcess> {
    const server = new ServeProcess(args);
    await until(() => server.stdout.includes('adapter:') || server.child.exitCode !== null);
    return server;
  }

  get url(): string {
    return /ready: (\S+)/.exec(this.stdout)?.[1] ?? '';
  }

  /** What it has logged. Throws where a line is no JSON. */
  get log(): LogLine[] {
    return this.stderr
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  }

  /** Resolves to the first line with this message, once it is there. */
  async logged(msg: string): Promise<LogLine> {
    await until(() => this.log.some((line) => line.msg === msg));
    return this.log.find((line) => line.msg === msg) as LogLine;
  }
}
