import type { ShareReport } from '../../../proto/shares.js';
import type { WatchedQueue } from './gpu-watchdog.js';

export interface GpuTurnOptions {
  tell(report: Extract<ShareReport, { type: 'wantTurn' | 'endTurn' }>): void;
  /** Milliseconds of any steady clock. */
  now(): number;
  /** Calls back when what is ready to be done has been done. */
  soon(act: () => void): void;
}

/**
 * A session's turns to use a GPU that several tenants share.
 *
 * States: *away* (it may not submit) -> *asking* -> *free* (it may, until it is asked to yield) or *turn* (it may for
 * so many milliseconds of the GPU's work, a submit at a time, and no longer than it has something to submit) ->
 * away; free -> *ending* (what it has submitted is still to be done) -> away. Each -> *over*.
 *
 * While it is free a submit costs an entry in a set, and nothing is measured.
 */
export class GpuTurn {
  readonly #options: GpuTurnOptions;
  #state: 'away' | 'asking' | 'free' | 'turn' | 'ending' | 'over' = 'away';
  /** Of the turn: what it is long, and what of it has been used, in milliseconds. */
  #lengthMs = 0;
  #usedMs = 0;
  /** Submits of the turn that are not done. */
  #underWay = 0;
  /** That were given work since the session is free. */
  readonly #queues = new Set<WatchedQueue>();
  readonly #waiting: (() => void)[] = [];

  constructor(options: GpuTurnOptions) {
    this.#options = options;
  }

  /** Whether the session may submit now. */
  get mine(): boolean {
    return this.#state === 'free' || this.#state === 'turn';
  }

  /** Resolves when the session may submit, in the turn of the event loop in which it does. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#ask();
    });
  }

  /** The session has submitted work. Returns what it has to wait for before it does anything else, if so. */
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

  /** The host gives the session a turn of so many milliseconds, or lets it use the GPU freely, with 0. */
  granted(ms: number): void {
    if (this.#state !== 'asking') return;
    this.#state = ms === 0 ? 'free' : 'turn';
    this.#lengthMs = ms;
    this.#usedMs = 0;
    for (const resolve of this.#waiting.splice(0)) resolve();
    if (ms > 0) this.#options.soon(() => this.#endTurn());
  }

  /** The host wants it to end when what was submitted is done. */
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

  /** The session has no use for a queue any more, which is done. */
  forget(queue: WatchedQueue): void {
    this.#queues.delete(queue);
  }

  /** The session is over: nothing more is said. */
  stop(): void {
    this.#state = 'over';
    this.#queues.clear();
    this.#waiting.length = 0;
  }

  #ask(): void {
    if (this.#state !== 'away' || this.#waiting.length === 0) return;
    this.#state = 'asking';
    this.#options.tell({ type: 'wantTurn' });
  }

  /** Unless something more was submitted in the turn meanwhile. */
  #endTurn(): void {
    if (this.#state === 'turn' && this.#underWay === 0) this.#leave(this.#usedMs);
  }

  #leave(ms: number): void {
    if (this.#state === 'over') return;
    this.#state = 'away';
    this.#options.tell({ type: 'endTurn', ms });
    this.#ask();
  }
}

/** Resolves when the queue's work is done, or never will be. */
function done(queue: WatchedQueue): Promise<void> {
  return queue.onSubmittedWorkDone().then(
    () => {},
    () => {},
  );
}
