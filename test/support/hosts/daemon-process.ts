import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { processMemory } from '#farlight/server/daemon/executors/process-memory.js';
import type { Counters } from '#farlight/testing/index.js';
import { executorsOf } from '../machine/processes.js';
import { REPOSITORY } from '../repository.js';

/** A daemon in a process of its own, and what that process has. */
export class DaemonProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>, lines: Interface) {
    this.#child = child;
    this.#lines = lines[Symbol.asyncIterator]();
  }

  static async start(options: object): Promise<[DaemonProcess, string]> {
    const script = `${REPOSITORY}test/support/hosts/daemon-process.mjs`;
    const child = spawn(process.execPath, [script, JSON.stringify(options)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const daemon = new DaemonProcess(child, createInterface({ input: child.stdout }));
    const { url } = (await daemon.#next()) as { url: string };
    return [daemon, url];
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get descriptors(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  /** Resident memory in MiB. */
  get memory(): number {
    return (processMemory(this.pid) as number) / 2 ** 20;
  }

  async counters(): Promise<Counters> {
    this.#child.stdin.write('\n');
    return (await this.#next()) as Counters;
  }

  async close(): Promise<void> {
    this.#child.stdin.end();
    await new Promise((resolve) => this.#child.on('close', resolve));
  }

  /** Ends it and its executors as a power switch would. */
  async kill(): Promise<void> {
    const closed = new Promise((resolve) => this.#child.on('close', resolve));
    for (const pid of [this.pid, ...(await executorsOf(this.pid))]) process.kill(pid, 'SIGKILL');
    await closed;
  }

  async #next(): Promise<unknown> {
    return JSON.parse((await this.#lines.next()).value);
  }
}
