import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Stats } from '#farlight/client/session/stats.js';
import { CLI } from '../repository.js';

const SOURCE = new URL('./step-program.mjs', import.meta.url);
const CLIENT = new URL('../../../dist/bundle/client/index.js', import.meta.url);

/** `farlight run -- node NAME` for programs that do so many steps each, say what they counted, and stay. */
export class StepPrograms {
  readonly #folder = mkdtempSync(join(tmpdir(), 'farlight-steps-'));
  readonly #children: ChildProcess[] = [];

  /** Resolves when the program's steps are done, to what gives its own newest ledger; its session is open until `end`. */
  run(
    host: string,
    name: string,
    steps: number,
    pauseMs = 0,
    stay: 'stay' | 'forever' = 'stay',
  ): Promise<() => Stats> {
    const path = join(this.#folder, name);
    const source = readFileSync(fileURLToPath(SOURCE), 'utf8');
    writeFileSync(path, source.replace("'farlight'", JSON.stringify(CLIENT.href)));
    const command = ['node', path, String(steps), String(pauseMs), stay];
    const child = spawn(process.execPath, [CLI, 'run', '--host', host, '--', ...command]);
    this.#children.push(child);
    // One that has ended takes no last word.
    child.stdin.on('error', () => {});
    return new Promise((resolve, reject) => {
      let stdout = '';
      let ledger: Stats;
      let stderr = '';
      child.stderr.on('data', (text) => {
        stderr += text;
      });
      child.stdout.on('data', (text) => {
        stdout += text;
        const lines = stdout.split('\n');
        // The last is empty, or a line that is still to end.
        stdout = lines.pop() ?? '';
        const newest = lines.at(-1);
        if (newest === undefined) return;
        ledger = JSON.parse(newest);
        resolve(() => ledger);
      });
      child.on('close', (code) => reject(new Error(`${name} ended with ${code}: ${stderr}`)));
    });
  }

  /** Has the programs end in good order. */
  async end(): Promise<void> {
    const ended = this.#children.splice(0).map((child) => {
      const closed = new Promise((resolve) => child.once('close', resolve));
      child.stdin?.end('\n');
      return child.exitCode ?? child.signalCode ?? closed;
    });
    await Promise.all(ended);
  }

  /** Ends those that are left, and removes everything. */
  async clear(): Promise<void> {
    for (const child of this.#children) child.kill();
    await this.end();
    rmSync(this.#folder, { recursive: true });
  }
}
