import type { RequestSpan } from '#farlight/infer/service/request-span.js';
import type { SpanTree } from '#farlight/infer/statistics/tracing.js';
import type { Definition } from '#farlight/stream/definition/definition.js';
import { planUpgrade } from '#farlight/stream/definition/upgrade-plan.js';
import type { FlowRecord } from '#farlight/stream/flow/version.js';
import type { ApplicationStatus, Upgrading } from '#farlight/stream/run/status.js';
import type { Output } from '#farlight/stream/sinks/sink.js';
import { Observatory } from '#farlight/stream/statistics/observatory.js';
import { RecordObserver } from '#farlight/stream/statistics/record-observer.js';
import { Tally } from '#farlight/stream/statistics/tally.js';
import { stepOf } from './arithmetic.js';
import { tensorOf } from './numbers.js';

export function definitionOf(id: string, detect: number, ...more: string[]): Definition {
  const model = stepOf('detect', 'sound', ['sound.x'], { factor: detect, failsAt: 0, hasState: true });
  const added = more.map((uid) =>
    stepOf(uid, 'sound', ['detect.o'], { factor: 1, failsAt: 0, hasState: false }),
  );
  const last = more.at(-1) ?? 'detect';
  return {
    name: 'voices',
    id,
    sources: { sound: { kind: 'http', types: { x: 'INT32[1]' } } },
    steps: [model, ...added],
    sinks: {
      out: { kind: 'file', file: '/out.jsonl', source: 'sound', values: { y: `${last}.o` } },
      shown: { kind: 'page', last: 2, source: 'sound', values: { y: 'detect.o' } },
    },
  };
}

/** An application that a test moves by hand, and its observatory. */
export class ObservedApplication {
  definition = definitionOf('v1', 2);
  upgrading: Upgrading | undefined;
  /** Milliseconds of the steady clock, which is this much behind the time since 1970. */
  now = 1_000_000;
  readonly trees: SpanTree[] = [];
  /** Of an application whose work is shared. */
  workers: ApplicationStatus['workers'];
  readonly tally: Tally;
  readonly observer: RecordObserver;
  readonly observatory: Observatory;
  #offset = 0;

  /** @param isReal whether time passes by itself, as a page's charts need it. */
  constructor(isReal = false) {
    const time = () => (isReal ? Date.now() : this.now + 1_700_000_000_000);
    this.tally = new Tally(time);
    this.observatory = new Observatory({
      application: () => this,
      tally: this.tally,
      version: '1.2.3',
      urls: () => ['http://127.0.0.1:8010'],
      time,
    });
    this.observer = new RecordObserver({
      tally: this.tally,
      now: () => (isReal ? performance.now() : this.now),
      tracing: {
        begin: () => ({ end: (tree) => this.trees.push(tree) }),
        close: async () => {},
      },
    });
  }

  status(): ApplicationStatus {
    const records = this.#offset;
    return {
      name: 'voices',
      version: this.definition.id,
      epoch: 3,
      passing: 2,
      passed: records,
      isUpgrading: this.upgrading !== undefined,
      sources: [{ name: 'sound', records, waiting: 7, bytes: 2048, problem: 'the mount is away', aside: 2 }],
      steps: [{ uid: 'detect', records, failed: 1, ms: 2500, running: 0 }],
      sinks: [{ name: 'out', outputs: records }],
      ...(this.workers && { workers: this.workers }),
    };
  }

  /** Passes a record, in a batch of four, which takes so long in its step. */
  pass(key: string, { ms = 40, run = this.#offset, error = '' } = {}): void {
    const { observer } = this;
    const record: FlowRecord<ReturnType<typeof tensorOf>> = {
      source: 'sound',
      offset: this.#offset,
      key,
      values: { x: tensorOf(1) },
    };
    this.#offset += 1;
    observer.logged('sound', record.offset);
    this.now += 5;
    observer.admitted(record, undefined);
    const end = observer.began(record, 'detect', this.definition);
    const span: RequestSpan = {
      part: 'gpu',
      from: this.now,
      to: this.now + ms,
      what: 'model silero version 1',
      run: { id: run, lane: 'gpu#0', batch: 4, items: 1 },
    };
    this.now += ms;
    end(error === '' ? { spans: [span] } : { spans: [], error });
    const output: Output = {
      sink: 'out',
      source: 'sound',
      offset: record.offset,
      index: 0,
      key,
      values: { y: tensorOf(record.offset) },
    };
    this.now += 5;
    if (error === '') {
      observer.wrote(record, 'out', [output], this.definition);
      observer.wrote(record, 'shown', [{ ...output, sink: 'shown' }], this.definition);
    }
    observer.passed(record, this.definition);
  }

  /** An upgrade is under way that changes `detect` and adds `smooth`. */
  upgrade(): void {
    const definition = definitionOf('v2', 3, 'smooth');
    this.upgrading = { definition, plan: planUpgrade(this.definition, definition), phase: 'passing' };
  }

  /** The upgrade is committed, or given up for a reason. */
  ended(why?: string): void {
    const { upgrading } = this;
    if (!upgrading) throw new Error('no upgrade is under way');
    const { definition, plan } = upgrading;
    const ended = { from: this.definition.id, to: definition.id, plan, ms: 120 };
    this.observer.upgraded(why === undefined ? { ...ended, epoch: 4 } : { ...ended, epoch: undefined, why });
    this.upgrading = undefined;
    if (why === undefined) this.definition = definition;
  }
}
