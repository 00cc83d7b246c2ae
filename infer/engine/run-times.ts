import type { RunReport } from '../lanes/lane.js';
import type { Run } from '../schedule/types.js';
import type { Part, RequestSpan } from '../service/request-span.js';
import type { Unit } from './request/unit.js';

/** A request of a run, as far as its times are concerned. */
export interface TimedShare {
  /** When its items became ready. */
  readonly readyAt: number;
  /** How many of its items the run has. */
  readonly count: number;
  readonly onSpan: (span: RequestSpan) => void;
}

/** Tells the requests of one run where their time went. */
export class RunTimes {
  readonly #run: Run;
  readonly #unit: Unit;
  readonly #shares: readonly TimedShare[];
  /** Until when the time has been told. */
  #told: number;

  /** A run begins now. */
  constructor(run: Run, unit: Unit, shares: readonly TimedShare[], now: number) {
    this.#run = run;
    this.#unit = unit;
    this.#shares = shares;
    this.#told = now;
    for (const share of shares) {
      const gathered = Math.max(share.readyAt, run.gatheredFrom ?? now);
      this.#tellOne(share, 'queue', share.readyAt, gathered);
      this.#tellOne(share, 'batch', gathered, now);
    }
  }

  /** The model was loaded. */
  loaded(now: number): void {
    this.#tell('load', now);
  }

  /** The values that were on other lanes are here. */
  brought(now: number): void {
    this.#tell('move', now);
  }

  /** `gpuMs`: how long the GPU works for such a run, as far as it is known. The host tells this run's own time later. */
  ran(now: number, { inferMs, outputMs }: RunReport, gpuMs: number = inferMs): void {
    if (this.#unit.isFunction) {
      this.#tell('function', now);
      return;
    }
    // The lane tells how long its parts took. The last of them ends now.
    const computed = Math.max(this.#told, now - outputMs);
    this.#tell('move', Math.max(this.#told, computed - Math.min(gpuMs, inferMs)));
    this.#tell('gpu', computed);
    this.#tell('move', now);
  }

  failed(now: number, reason: string): void {
    this.#tell(this.#unit.isFunction ? 'function' : 'gpu', now, reason);
  }

  #tell(part: Part, until: number, failed?: string): void {
    for (const share of this.#shares) this.#tellOne(share, part, this.#told, until, failed);
    this.#told = until;
  }

  #tellOne({ count, onSpan }: TimedShare, part: Part, from: number, to: number, failed?: string): void {
    if (to <= from && failed === undefined) return;
    const { id, lane, batch } = this.#run;
    const run = { id, lane, batch, items: count };
    onSpan({ part, from, to, what: this.#unit.title, run, ...(failed !== undefined && { failed }) });
  }
}
