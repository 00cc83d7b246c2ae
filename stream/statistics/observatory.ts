import type { Tensor } from '../../infer/service/tensor.js';
import type { Trace, Tracing } from '../../infer/statistics/tracing.js';
import { Histogram } from '../../page/figures.js';
import type { Definition } from '../definition/definition.js';
import type { Change, UpgradePlan } from '../definition/upgrade-plan.js';
import { ERRORS } from '../flow/flow.js';
import type { FlowRecord } from '../flow/version.js';
import type { ApplicationObserver, StepEnd, UpgradeEnd } from '../run/observer.js';
import type { ApplicationStatus, Upgrading } from '../run/status.js';
import { plainValues } from '../sinks/output-text.js';
import { identityOf, type Output } from '../sinks/sink.js';
import type {
  AllView,
  ApplicationView,
  EndedUpgradeView,
  NodeView,
  OutputView,
  PostedView,
} from './application-view.js';
import { changeOf, type GraphNode, graphOf } from './graph.js';
import { History, RecentSums, type SecondView } from './history.js';
import { Lags } from './lags.js';
import { PostedCounts } from './posted-counts.js';
import { type RecordSpan, recordTree } from './record-spans.js';

/** The parts of an application that its view is made of. */
export interface Observed {
  readonly definition: Definition;
  readonly upgrading: Upgrading | undefined;
  status(): ApplicationStatus;
}

export interface ObservatoryOptions {
  /** The application, once it runs. */
  application(): Observed;
  /** Of this package. */
  readonly version: string;
  /** The addresses for clients. */
  urls(): readonly string[];
  /** Milliseconds of a steady clock, and since 1970. */
  now(): number;
  time(): number;
  readonly tracing?: Tracing | undefined;
}

/** All that the figures are read from. */
export interface Facts {
  readonly all: AllView;
  readonly posted: readonly PostedView[];
  readonly upgrades: Readonly<Record<'committed' | 'abandoned', number>>;
  /** By step, the items of its runs. */
  readonly batches: ReadonlyMap<string, Histogram>;
  /** By sink, in seconds. */
  readonly lags: ReadonlyMap<string, Histogram>;
}

/** The upgrades that are shown. */
const MOST_UPGRADES = 20;
const MOST_RUNS = 1024;
/** The most characters of an output on the page. */
const LONGEST_TEXT = 300;
const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
const LAG_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** A record on its way. */
interface Passing {
  /** When it was logged, or when it began where the process before has logged it. */
  readonly from: number;
  readonly trace: Trace | undefined;
  readonly spans: RecordSpan[];
  /** When its steps were done last: from then on its outputs are with their sinks. */
  done: number;
}

/** The facts of what an application does. */
export class Observatory implements ApplicationObserver {
  readonly posted: PostedCounts;
  readonly #options: ObservatoryOptions;
  readonly #startedAt: number;
  readonly #history = new History();
  readonly #sums = new RecentSums();
  readonly #lags = new Lags();
  readonly #passing = new WeakMap<FlowRecord<Tensor>, Passing>();
  /** By uid, the records that a step has begun with. */
  readonly #running = new Map<string, number>();
  /** The last runs, by their numbers. */
  readonly #runs = new Set<number>();
  readonly #upgrades: EndedUpgradeView[] = [];
  readonly #outcomes = { committed: 0, abandoned: 0 };
  /** By sink to the page, its last outputs, the newest first. */
  readonly #outputs = new Map<string, OutputView[]>();
  /** By step and by sink. */
  readonly #batches = new Map<string, Histogram>();
  readonly #lagsOf = new Map<string, Histogram>();

  constructor(options: ObservatoryOptions) {
    this.#options = options;
    this.#startedAt = options.time();
    this.posted = new PostedCounts(options);
  }

  logged(source: string, offset: number): void {
    const { now, time } = this.#options;
    this.#sums.add(time(), `source ${source}`, 1);
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
    this.#running.set(uid, (this.#running.get(uid) ?? 0) + 1);
    return ({ spans, error }) => {
      if (!isRunning) return;
      isRunning = false;
      const to = this.#options.now();
      this.#running.set(uid, (this.#running.get(uid) ?? 1) - 1);
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
    const { now, time } = this.#options;
    const passing = this.#passing.get(record);
    if (outputs.length > 0) {
      const lag = now() - (passing?.from ?? now());
      this.#history.add(time(), { outputs: outputs.length, lag });
      this.#lags.add(lag);
      this.#sums.add(time(), `sink ${sink}`, outputs.length);
      histogramIn(this.#lagsOf, sink, LAG_SECONDS).add(lag / 1000, outputs.length);
    }
    const definition = sinks[sink];
    if (definition?.kind === 'page') this.#show(sink, outputs, definition.last);
    const name = sink === ERRORS ? 'errors' : `sink ${sink}`;
    if (passing?.trace) passing.spans.push({ name, from: passing.done, to: now(), spans: [] });
  }

  #show(sink: string, outputs: readonly Output[], last: number): void {
    const at = this.#options.time();
    const views = outputs.slice(-last).map((output): OutputView => {
      const text = JSON.stringify(plainValues(output));
      return {
        sink,
        id: identityOf(output),
        at,
        key: output.key,
        text: text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text,
      };
    });
    this.#outputs.set(sink, [...views.reverse(), ...(this.#outputs.get(sink) ?? [])].slice(0, last));
  }

  passed(record: FlowRecord<Tensor>, { name }: Definition): void {
    const { now, time } = this.#options;
    this.#history.add(time(), { passed: 1 });
    const passing = this.#passing.get(record);
    this.#passing.delete(record);
    if (!passing?.trace) return;
    const { source, offset, key } = record;
    const { from, spans, trace } = passing;
    trace.end(recordTree({ application: name, source, offset, key, from, to: now(), spans }));
  }

  upgraded({ from, to, plan, ms, epoch, why }: UpgradeEnd): void {
    this.#upgrades.unshift({
      at: this.#options.time(),
      ms,
      from,
      to,
      changes: changesOf(plan),
      ...(epoch !== undefined && { epoch }),
      ...(why !== undefined && { why }),
    });
    this.#upgrades.splice(MOST_UPGRADES);
    this.#outcomes[why === undefined ? 'committed' : 'abandoned'] += 1;
  }

  /** The state now: of one tenant, or of all tenants for the owner. */
  view(tenant?: string): ApplicationView {
    const { application, version, urls, time } = this.#options;
    return {
      name: application().definition.name,
      version,
      urls: urls(),
      startedAt: this.#startedAt,
      now: time(),
      posted: this.posted.view(tenant),
      ...(tenant === undefined ? { all: this.#all() } : { tenant }),
    };
  }

  facts(): Facts {
    return {
      all: this.#all(),
      posted: this.posted.view(),
      upgrades: this.#outcomes,
      batches: this.#batches,
      lags: this.#lagsOf,
    };
  }

  /** The seconds from this one on, for the owner. */
  seconds(second: number): SecondView[] {
    return this.#history.from(second);
  }

  #ended(uid: string, ms: number, { spans, error }: StepEnd): void {
    const now = this.#options.time();
    const id = `step ${uid}`;
    if (error === undefined) {
      this.#sums.add(now, id, 1);
      this.#sums.add(now, `ms ${id}`, ms);
    } else {
      this.#sums.add(now, 'failed', 1);
      this.#history.add(now, { failed: 1 });
    }
    for (const { part, run } of spans) {
      if (part !== 'gpu' || !run) continue;
      this.#history.add(now, { items: run.items, largest: run.batch });
      this.#sums.add(now, `items ${id}`, run.items);
      this.#sums.most(now, `batch ${id}`, run.batch);
      // All records of a batch tell of the same run.
      if (this.#runs.has(run.id)) continue;
      this.#runs.add(run.id);
      if (this.#runs.size > MOST_RUNS) this.#runs.delete(this.#runs.values().next().value as number);
      this.#history.add(now, { runs: 1 });
      this.#sums.add(now, `runs ${id}`, 1);
      histogramIn(this.#batches, uid, BATCH_SIZES).add(run.batch);
    }
  }

  #all(): AllView {
    const application = this.#options.application();
    const status = application.status();
    const now = this.#options.time();
    const { definition, upgrading } = application;
    const waiting = status.sources.reduce((sum, each) => sum + each.waiting, 0);
    this.#history.looked(now, { waiting, passing: status.passing });
    const nodes = graphOf(definition, upgrading?.definition).map((node) =>
      this.#node(node, status, upgrading?.plan),
    );
    const pages = Object.entries(definition.sinks).flatMap(([sink, { kind }]) =>
      kind === 'page' ? [sink] : [],
    );
    const rateOf = (kind: NodeView['kind']) =>
      nodes.reduce((sum, node) => sum + (node.kind === kind ? node.rate : 0), 0);
    return {
      id: status.version,
      epoch: status.epoch,
      passing: status.passing,
      waiting,
      rates: {
        records: rateOf('source'),
        outputs: rateOf('sink'),
        failed: this.#sums.rate(now, 'failed'),
      },
      lag: this.#lags.view(),
      nodes,
      ...(upgrading && { upgrade: { to: upgrading.definition.id, phase: upgrading.phase } }),
      upgrades: this.#upgrades,
      ...(pages.length > 0 && { outputs: pages.flatMap((sink) => this.#outputs.get(sink) ?? []) }),
    };
  }

  #node(node: GraphNode, status: ApplicationStatus, plan: UpgradePlan | undefined): NodeView {
    const { id, kind, name, uid, what, from, hasState } = node;
    const now = this.#options.time();
    const rate = this.#sums.rate(now, id);
    const change = plan && changeOf(node, plan);
    const common = {
      id,
      name,
      what,
      from,
      rate,
      ...(change && { change: change.change, details: change.details }),
    };
    if (kind === 'source') {
      const source = status.sources.find((each) => each.name === name);
      const { records = 0, waiting = 0, bytes = 0 } = source ?? {};
      return { ...common, kind, records, waiting, bytes };
    }
    if (kind === 'sink')
      return { ...common, kind, records: status.sinks.find((each) => each.name === name)?.outputs ?? 0 };
    const { records = 0, failed = 0, ms = 0 } = status.steps.find((each) => each.uid === uid) ?? {};
    const runs = this.#sums.rate(now, `runs ${id}`);
    const state = plan?.steps.find((each) => each.uid === uid)?.state;
    return {
      ...common,
      kind,
      uid,
      hasState,
      ...(state && { state }),
      records,
      failed,
      seconds: ms / 1000,
      running: this.#running.get(uid) ?? 0,
      ms: rate > 0 ? this.#sums.rate(now, `ms ${id}`) / rate : 0,
      items: runs > 0 ? this.#sums.rate(now, `items ${id}`) / runs : 0,
      largest: this.#sums.largest(now, `batch ${id}`),
    };
  }
}

function histogramIn(histograms: Map<string, Histogram>, name: string, bounds: readonly number[]): Histogram {
  const histogram = histograms.get(name) ?? new Histogram(bounds);
  histograms.set(name, histogram);
  return histogram;
}

const SIGNS = { changed: '~', added: '+', removed: '-' } as const;

function changesOf({ sources, steps, sinks }: UpgradePlan): string[] {
  const words = (changes: readonly Change[]) =>
    changes.flatMap(({ name, change }) => (change === 'kept' ? [] : [`${SIGNS[change]} ${name}`]));
  return [...words(sources), ...words(steps), ...words(sinks)];
}
