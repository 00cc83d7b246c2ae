import { setTimeout as pause } from 'node:timers/promises';
import { HostClient } from '#farlight/client/transport/host/host-client.js';
import { codeOf } from '#farlight/proto/errors.js';
import type { PoolFolder, PoolProgram } from './pool-folder.js';

/** How long a program may take to go on or to say why it cannot, in milliseconds: longer than a host may take to start, twice. */
const ANSWER_MS = 300_000;
const LOOK_MS = 100;

/** The answers that programs got of a pool while its parts failed. */
export class Counts {
  /** Requests that were computed, and those that failed with a reason, by that reason without its names and numbers. */
  computed = 0;
  readonly reasons = new Map<string, number>();
  /** How often a term's host was valid after the next one's. */
  overlaps = 0;

  add(answer: string): void {
    if (!/Error: /.test(answer)) {
      this.computed += 1;
      return;
    }
    const reason = answer
      .replace(/\/\S+/g, 'PATH')
      .replace(/[0-9a-f]{12,}/g, 'ID')
      .replace(/\d+/g, 'N');
    this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
  }

  toString(): string {
    const reasons = [...this.reasons].map(([reason, count]) => `  ${count} times: ${reason}`);
    return [`${this.computed} requests computed, ${this.overlaps} terms overlapped`, ...reasons].join('\n');
  }
}

/** Programs that ask a pool for a GPU, compute, give it back and ask again, without end. */
export class Load {
  readonly counts = new Counts();
  readonly #pool: PoolFolder;
  readonly #address: string;
  readonly #running = new Map<Promise<void>, PoolProgram>();
  readonly #watching: Promise<void>;
  readonly #errors: unknown[] = [];
  #isOver = false;

  /** `address`: the pool's own if left out. */
  constructor(pool: PoolFolder, programs: number, { address = pool.address } = {}) {
    this.#pool = pool;
    this.#address = address;
    for (let count = 0; count < programs; count += 1) this.#start();
    this.#watching = this.#watch();
    // `end` gets its error.
    this.#watching.catch(() => {});
  }

  /** One of the programs. */
  any(): PoolProgram {
    const all = [...this.#running.values()];
    const one = all[Math.floor(Math.random() * all.length)];
    if (!one) throw new Error('no program runs');
    return one;
  }

  /** Ends a program as the system does when it needs memory, and starts another one in its place. */
  killOne(): void {
    this.any().child.kill('SIGKILL');
    this.#start();
  }

  /** Resolves when each program has computed once more and has ended. @throws where one cannot, or says nothing (rejects). */
  async end(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running.keys());
    await this.#watching;
    // Also of programs that have ended long before.
    if (this.#errors.length > 0) throw new AggregateError(this.#errors, String(this.#errors[0]));
  }

  #start(): void {
    const program = this.#pool.program(this.#address);
    const done: Promise<void> = this.#use(program)
      .catch((error) => void this.#errors.push(error))
      .finally(() => this.#running.delete(done));
    this.#running.set(done, program);
  }

  async #use(program: PoolProgram): Promise<void> {
    const { child } = program;
    const killed = () => child.signalCode === 'SIGKILL';
    try {
      let last = '';
      while (!this.#isOver || /Error: /.test(last)) {
        last = await this.#answered(program);
        if (killed()) return;
        this.counts.add(last);
        await pause(Math.random() * 300);
        await program.tell('drop');
        await pause(Math.random() * 300);
      }
      await program.end();
    } catch (error) {
      if (!killed()) throw error;
    }
  }

  async #answered(program: PoolProgram): Promise<string> {
    const late = pause(ANSWER_MS, 'late', { ref: false });
    const answer = await Promise.race([program.tell('compute'), late]);
    if (answer !== 'late') return answer;
    const { stdout, stderr } = await this.#pool.farlight('pool', 'describe', this.#pool.file);
    throw new Error(`a program got no answer within ${ANSWER_MS / 1000} seconds:\n${stdout}${stderr}`);
  }

  #hosts(): ReturnType<PoolFolder['readyHosts']> {
    try {
      return this.#pool.readyHosts();
    } catch (error) {
      // A file of an old term was deleted meanwhile.
      if (codeOf(error) === 'ENOENT') return [];
      throw error;
    }
  }

  /** Asks the latest hosts of each allocation whether they are valid, the newest first. */
  async #watch(): Promise<void> {
    while (!this.#isOver) {
      const hosts = this.#hosts();
      for (const newer of hosts) {
        const older = hosts.find(({ slot, term }) => slot === newer.slot && term === newer.term - 1);
        if (older && (await valid(newer.url)) && (await valid(older.url))) this.counts.overlaps += 1;
      }
      await pause(LOOK_MS);
    }
  }
}

async function valid(url: string): Promise<boolean> {
  const client = new HostClient(url);
  try {
    return (await client.renew({ challenge: 0, holder: 'watcher', release: false })).valid;
  } catch {
    return false;
  } finally {
    client.close();
  }
}
