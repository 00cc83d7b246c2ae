import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, vi } from 'vitest';
import { readPool } from '#farlight/pool/definition/pool-file.js';
import type { Engine, ListedJob } from '#farlight/pool/engines/engine.js';
import { LocalEngine } from '#farlight/pool/engines/local.js';
import { TokenStore } from '#farlight/server/trust/token-store.js';
import {
  type Finished,
  outputOf,
  type Running,
  runFarlight,
  startFarlight,
} from '../hosts/farlight-command.js';

const PROGRAM = fileURLToPath(new URL('../programs/pool-program.mjs', import.meta.url));
/** The module that gives a program its GPU. */
export const REGISTER = new URL('../../../dist/bundle/client/register.js', import.meta.url).href;

/** A pool of a test's own, with the state of its engine and of its journal in a folder that goes with it. */
export class PoolFolder {
  readonly folder = mkdtempSync(join(tmpdir(), 'pool-'));
  readonly file = join(this.folder, 'test.yaml');
  /** The variables of all processes of this pool. */
  readonly env: NodeJS.ProcessEnv;
  readonly #hasVariables: boolean;
  readonly #programs: PoolProgram[] = [];
  readonly #running: Running[] = [];

  constructor(yaml: string, env: NodeJS.ProcessEnv = {}) {
    writeFileSync(this.file, yaml);
    const folders = {
      XDG_STATE_HOME: join(this.folder, 'state'),
      XDG_CONFIG_HOME: join(this.folder, 'config'),
    };
    this.env = { ...env, ...folders };
    this.#hasVariables = Object.keys(env).length > 0;
  }

  get address(): string {
    return `pool:${this.file}`;
  }

  /** The state folder of Farlight, in which the engine `local` has its jobs. */
  get state(): string {
    return join(this.folder, 'state', 'farlight');
  }

  /** Starts a program whose GPU is of this pool, or of the host at this address. */
  program(address = this.address): PoolProgram {
    const env = { ...process.env, ...this.env, FARLIGHT_HOST: address };
    const program = new PoolProgram(spawn(process.execPath, ['--import', REGISTER, PROGRAM], { env }));
    this.#programs.push(program);
    return program;
  }

  /** Makes a token for a tenant, as `farlight token add` does. */
  addToken(tenant: string): string {
    return new TokenStore(join(this.folder, 'config/farlight/host/tokens')).add({ tenant }).token;
  }

  /** `farlight ARGS`, for this state. */
  farlight(...args: string[]): Promise<Finished> {
    return runFarlight(args, this.env);
  }

  /** The same, in the pool's folder, where it is to be watched. */
  start(...args: string[]): Running {
    const running = startFarlight(args, this.env, this.folder);
    this.#running.push(running);
    return running;
  }

  /** Runs a program that may import the package, in the pool's folder. */
  node(program: string, ...args: string[]): Running {
    // The package's own name is known below its folder only.
    const file = (name: string) =>
      fileURLToPath(new URL(`../../../dist/bundle/${name}/index.js`, import.meta.url));
    const text = program
      .replace("'farlight/pool'", JSON.stringify(file('pool')))
      .replace("'farlight'", JSON.stringify(file('client')));
    const env = { ...process.env, ...this.env };
    const given = ['--input-type=module', '-e', text, ...args];
    const running = outputOf(spawn(process.execPath, given, { env, cwd: this.folder }));
    this.#running.push(running);
    return running;
  }

  /** The hosts that the engine has now, as `farlight pool ls` shows them. */
  async hosts(): Promise<Pick<ListedJob, 'id' | 'name' | 'term' | 'status'>[]> {
    const { engine } = this;
    if (engine) return engine.list('farlight.');
    const { stdout, stderr } = await this.farlight('pool', 'ls', '--json');
    if (!stdout) throw new Error(stderr);
    return JSON.parse(stdout).jobs;
  }

  /** Resolves when the engine has no host any more. */
  async gone(): Promise<void> {
    await vi.waitFor(async () => expect(await this.hosts()).toEqual([]), { timeout: 60_000, interval: 50 });
  }

  /** The pool's engine, which this process asks itself: tests ask often. Undefined where it needs variables of the pool's. */
  get engine(): Engine | undefined {
    const [, name = 'local'] = /^engine: (\w+)/m.exec(readFileSync(this.file, 'utf8')) ?? [];
    // Its jobs are in this pool's state.
    if (name === 'local') return new LocalEngine(join(this.state, 'jobs'));
    return this.#hasVariables ? undefined : readPool(this.address).engine;
  }

  /** The files of the journal, by name. */
  journal(): Map<string, string> {
    const pools = join(this.state, 'pools');
    const [name] = readdirSync(pools);
    const folder = join(pools, name ?? '');
    // Beside sockets, and the folder of the programs that wait.
    const files = readdirSync(folder, { withFileTypes: true }).filter((each) => each.isFile());
    return new Map(files.map(({ name }) => [name, readFileSync(join(folder, name), 'utf8')]));
  }

  /** The hosts that were ready, of all terms that the journal still has. */
  readyHosts(): { slot: number; term: number; url: string }[] {
    // A journal begins with the first host.
    if (!existsSync(join(this.state, 'pools'))) return [];
    const files = this.journal();
    return [...files].flatMap(([name, text]) => {
      const [, slot, term] = /^(\d+)\.(\d+)\.ready$/.exec(name) ?? [];
      const claim = files.get(`${slot}.${term}.claim`);
      if (slot === undefined || !claim) return [];
      const { socket, port, pin } = JSON.parse(text);
      const url = socket
        ? `unix:${socket}`
        : `grpcs://${JSON.parse(claim).token}@127.0.0.1:${port}?ca=${pin}`;
      return [{ slot: Number(slot), term: Number(term), url }];
    });
  }

  async close(): Promise<void> {
    for (const program of this.#programs) program.child.kill('SIGKILL');
    for (const { child } of this.#running) child.kill('SIGKILL');
    const { engine } = this;
    if (engine) await endJobs(engine);
    else await this.farlight('pool', 'down', '--all');
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Ends the jobs of an engine, and resolves when they have ended. */
async function endJobs(engine: Engine): Promise<void> {
  for (;;) {
    const jobs = await engine.list('');
    if (jobs.length === 0) return;
    for (const { id } of jobs) await engine.cancel(id);
    await pause(engine.isHere ? 20 : 100);
  }
}

/** A program that does what it is told. */
export class PoolProgram {
  readonly child: ChildProcessWithoutNullStreams;
  readonly #running: Running;
  #taken = 0;

  constructor(child: ChildProcessWithoutNullStreams) {
    this.child = child;
    // A program that was killed reads no more. `next` says how it ended.
    child.stdin.on('error', () => {});
    this.#running = outputOf(child);
  }

  /** Has it do something. Resolves to what it says then. */
  async tell(command: 'compute' | 'drop' | 'lost' | 'close' | 'again'): Promise<string> {
    this.child.stdin.write(`${command}\n`);
    return this.next();
  }

  /** Resolves to the next thing that it says. */
  async next(): Promise<string> {
    const lines = () => this.#running.printed.stdout.split('\n').slice(0, -1);
    while (lines().length <= this.#taken) {
      if (this.child.exitCode !== null || this.child.signalCode !== null)
        throw new Error(`the program has ended: ${this.#running.printed.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    this.#taken += 1;
    return lines()[this.#taken - 1] ?? '';
  }

  /** Resolves when it has ended, to what it printed. */
  get done(): Promise<Finished> {
    return this.#running.done;
  }

  end(): Promise<Finished> {
    this.child.stdin.end();
    return this.done;
  }
}
