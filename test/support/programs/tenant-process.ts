import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('./tenant-program.mjs', import.meta.url));

/** A tenant's program in a process of its own (see tenant-program.mjs). */
export class TenantProcess {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  private constructor(host: string, what: string) {
    this.child = spawn(process.execPath, [PROGRAM, host, what], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  /** Resolves to the process and what it has said, when it is at what it does. */
  static async start(host: string, what: string): Promise<[TenantProcess, string]> {
    const tenant = new TenantProcess(host, what);
    return [tenant, await tenant.#next()];
  }

  /** What the program answers, a number, to a line on its stdin. */
  async ask(line: string | number = ''): Promise<number> {
    this.child.stdin.write(`${line}\n`);
    return Number(await this.#next());
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const closed = new Promise((resolve) => this.child.on('close', resolve));
    this.child.kill('SIGKILL');
    await closed;
  }

  async #next(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("the tenant's program has ended");
    return value;
  }
}
