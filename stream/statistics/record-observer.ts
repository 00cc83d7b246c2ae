import type { Tensor } from '../../infer/service/tensor.js';
import type { Trace, Tracing } from '../../infer/statistics/tracing.js';
import type { Definition } from '../definition/definition.js';
import { ERRORS } from '../flow/flow.js';
import type { FlowRecord } from '../flow/version.js';
import type { StepEnd, UpgradeEnd } from '../run/observer.js';
import type { Output } from '../sinks/sink.js';
import type { WorkerObserver } from '../workers/worker.js';
import { Lags } from './lags.js';
import { type RecordSpan, recordTree } from './record-spans.js';
import type { Tally } from './tally.js';

export interface RecordObserverOptions {
  readonly tally: Tally;
  /** Milliseconds of a steady clock. */
  now(): number;
  readonly tracing?: Tracing | undefined;
}

const MOST_RUNS = 1024;

/** A record on its way. */
interface Passing {
  /** When it was logged, or when it began where another process has logged it. */
  readonly from: number;
  readonly trace: Trace | undefined;
  readonly spans: RecordSpan[];
  /** When its steps were done last: from then on its outputs are with their sinks. */
  done: number;
}

/** Follows each record through the steps of this process: for the tally, and for its trace. */
export class RecordObserver implements WorkerObserver {
  readonly #options: RecordObserverOptions;
  readonly #lags = new Lags();
  readonly #passing = new WeakMap<FlowRecord<Tensor>, Passing>();
  /** The last runs, by their numbers. */
  readonly #runs = new Set<number>();

  constructor(options: RecordObserverOptions) {
    this.#options = options;
  }

  get runs(): WorkerObserver['runs'] {
    return this.#options.tally.runs;
  }

  logged(source: string, offset: number): void {
    const { tally, now } = this.#options;
    tally.logged(source);
    this.#lags.logged(source, offset, now());
  }

  admitted(record: FlowRecord<Tensor>, traceparent: string | undefined): void {
    const { now, tracing } = this.#options;
    const from = this.#lags.begun(record.source, record.offset) ?? now();
    this.#passing.set(record, { from, trace: tracing?.begin({ traceparent }), spans: [], done: now() });
  }

  began(record: FlowRecord<Tensor>, uid: string, { id, steps }: Definition): (end: StepEnd) => void {
    const from = this.#options.now();
    let isRunning = true;
    return ({ spans, error }) => {
      if (!isRunning) return;
      isRunning = false;
      const to = this.#options.now();
      this.#ended(uid, to - from, { spans, ...(error !== undefined && { error }) });
      const passing = this.#passing.get(record);
      if (!passing) return;
      passing.done = to;
      const name = `step ${steps.find((step) => step.uid === uid)?.name ?? uid}`;
      // Without a trace nobody wants them.
      if (passing.trace)
        passing.spans.push({ name, from, to, version: id, spans, ...(error !== undefined && { error }) });
    };
  }

  wrote(record: FlowRecord<Tensor>, sink: string, outputs: readonly Output[], { sinks }: Definition): void {
    const { tally, now } = this.#options;
    const passing = this.#passing.get(record);
    if (outputs.length > 0) tally.wrote(sink, outputs.length, now() - (passing?.from ?? now()));
    const definition = sinks[sink];
    if (definition?.kind === 'page') tally.show(sink, outputs, definition.last);
    const name = sink === ERRORS ? 'errors' : `sink ${sink}`;
    if (passing?.trace) passing.spans.push({ name, from: passing.done, to: now(), spans: [] });
  }

  passed(record: FlowRecord<Tensor>, { name }: Definition): void {
    const { tally, now } = this.#options;
    tally.passed(1);
    const passing = this.#passing.get(record);
    this.#passing.delete(record);
    if (!passing?.trace) return;
    const { source, offset, key } = record;
    const { from, spans, trace } = passing;
    trace.end(recordTree({ application: name, source, offset, key, from, to: now(), spans }));
  }

  upgraded(end: UpgradeEnd): void {
    this.#options.tally.upgraded(end);
  }

  #ended(uid: string, ms: number, { spans, error }: StepEnd): void {
    const { tally } = this.#options;
    const isWell = error === undefined;
    tally.stepped(uid, { records: isWell ? 1 : 0, ms: isWell ? ms : 0, failed: isWell ? 0 : 1 });
    for (const { part, run } of spans) {
      if (part !== 'gpu' || !run) continue;
      // All records of a batch tell of the same run.
      const isNew = !this.#runs.has(run.id);
      this.#runs.add(run.id);
      if (this.#runs.size > MOST_RUNS) this.#runs.delete(this.#runs.values().next().value as number);
      tally.ran(uid, { batch: run.batch, items: run.items, runs: isNew ? 1 : 0 });
    }
  }
}
