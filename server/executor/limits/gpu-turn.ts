import type { ShareReport } from '../../../proto/session/shares.js';
import type { WatchedQueue } from './gpu-watchdog.js';

export interface GpuTurnOptions {
  tell(report: Extract<ShareReport, { type: 'wantTurn' | 'endTurn' }>): void;
  /** Milliseconds of any steady clock. */
  now(): number;
  /** Calls back when everything that is ready now has run. */
  soon(act: () => void): void;
}

/**
 * A session's turns to use a GPU that several tenants share.
 *
 * States: *away* (it may not submit) -> *asking* -> *free* or *turn*. *free*: it may submit, until the host asks it to
 * yield. *turn*: it may submit for so many milliseconds of the GPU's work, one submit at a time, as long as it has
 * something to submit. turn -> away; free -> *ending* (its submits are not done yet) -> away. Each -> *ended*.
 *
 * While it is free, a submit costs an entry in a set, and nothing is measured.
 */
export class GpuTurn {
  readonly #options: GpuTurnOptions;
  #state: 'away' | 'asking' | 'free' | 'turn' | 'ending' | 'ended' = 'away';
  /** How long the turn is, and how much of it is used, in milliseconds. */
  #lengthMs = 0;
  #usedMs = 0;
  /** How many submits of the turn are not done. */
  #underWay = 0;
  /** The queues that got work since the session is free. */
  readonly #queues = new Set<WatchedQueue>();
  readonly #waiting: (() => void)[] = [];

  constructor(options: GpuTurnOptions) {
    this.#options = options;
  }

  /** Whether the session may submit now. */
  get mine(): boolean {
    return this.#state === 'free' || this.#state === 'turn';
  }

  /** Resolves when the session may submit. It must submit in that same turn of the event loop. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#ask();
    });
  }

  /** The session has submitted work. If it must wait before it does anything else, returns the promise to wait for. */
  submitted(queue: WatchedQueue): Promise<void> | undefined {
    if (this.#state !== 'turn') {
      this.#queues.add(queue);
      return undefined;
    }
    const from = this.#options.now();
    this.#underWay += 1;
    return done(queue).then(() => {
      this.#usedMs += this.#options.now() - from;
      this.#underWay -= 1;
      if (this.#usedMs >= this.#lengthMs) this.#endTurn();
      else this.#options.soon(() => this.#endTurn());
    });
  }

  /** The host gives the session a turn of so many milliseconds. With 0 it lets the session use the GPU freely. */
  granted(ms: number): void {
    if (this.#state !== 'asking') return;
    this.#state = ms === 0 ? 'free' : 'turn';
    this.#lengthMs = ms;
    this.#usedMs = 0;
    for (const resolve of this.#waiting.splice(0)) resolve();
    if (ms > 0) this.#options.soon(() => this.#endTurn());
  }

  /** The host asks the session to end its use of the GPU when its submits are done. */
  yield(): void {
    if (this.#state !== 'free') return;
    this.#state = 'ending';
    const from = this.#options.now();
    const queues = [...this.#queues];
    this.#queues.clear();
    void Promise.all(queues.map(done)).then(() => {
      this.#leave(queues.length === 0 ? 0 : this.#options.now() - from);
    });
  }

  /** The session has released a queue whose work is done. */
  forget(queue: WatchedQueue): void {
    this.#queues.delete(queue);
  }

  /** The session has ended: the host hears nothing more. */
  stop(): void {
    this.#state = 'ended';
    this.#queues.clear();
    this.#waiting.length = 0;
  }

  #ask(): void {
    if (this.#state !== 'away' || this.#waiting.length === 0) return;
    this.#state = 'asking';
    this.#options.tell({ type: 'wantTurn' });
  }

  /** Ends the turn, unless something was submitted meanwhile. */
  #endTurn(): void {
    if (this.#state === 'turn' && this.#underWay === 0) this.#leave(this.#usedMs);
  }

  #leave(ms: number): void {
    if (this.#state === 'ended') return;
    this.#state = 'away';
    this.#options.tell({ type: 'endTurn', ms });
    this.#ask();
  }
}

/** Resolves when the queue's work is done, or cannot be. */
function done(queue: WatchedQueue): Promise<void> {
  return queue.onSubmittedWorkDone().then(
    () => {},
    () => {},
  );
}
