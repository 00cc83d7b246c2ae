import { Histogram } from '../../page/figures.js';
import type { Definition } from '../definition/definition.js';
import type { UpgradePlan } from '../definition/upgrade-plan.js';
import type { ApplicationStatus, Upgrading } from '../run/status.js';
import type { AllView, ApplicationView, NodeView, PostedView, WorkersView } from './application-view.js';
import { changeOf, type GraphNode, graphOf } from './graph.js';
import type { SecondView } from './history.js';
import { PostedCounts } from './posted-counts.js';
import type { Tally } from './tally.js';

/** The parts of an application that its view is made of. */
export interface Observed {
  readonly definition: Definition;
  readonly upgrading: Upgrading | undefined;
  status(): ApplicationStatus;
}

export interface ObservatoryOptions {
  /** The application, once it runs. */
  application(): Observed;
  readonly tally: Tally;
  /** Of this package. */
  readonly version: string;
  /** The addresses for clients. */
  urls(): readonly string[];
  /** Milliseconds since 1970. */
  time(): number;
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

const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/** The state of an application, for its page, `farlight top` and its figures. */
export class Observatory {
  readonly posted: PostedCounts;
  readonly #options: ObservatoryOptions;
  readonly #startedAt: number;

  constructor(options: ObservatoryOptions) {
    this.#options = options;
    this.#startedAt = options.time();
    this.posted = new PostedCounts(options);
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
    const { outcomes, runs, lags } = this.#options.tally;
    const batches = [...runs].map(([uid, counts]) => {
      const histogram = new Histogram(BATCH_SIZES);
      for (const [size, times] of counts) histogram.add(size, times);
      return [uid, histogram] as const;
    });
    return {
      all: this.#all(),
      posted: this.posted.view(),
      upgrades: outcomes,
      batches: new Map(batches),
      lags,
    };
  }

  /** The seconds from this one on, for the owner. */
  seconds(second: number): SecondView[] {
    return this.#options.tally.seconds(second);
  }

  #all(): AllView {
    const { application: running, tally } = this.#options;
    const application = running();
    const status = application.status();
    const { definition, upgrading } = application;
    const waiting = status.sources.reduce((sum, each) => sum + each.waiting, 0);
    tally.looked({ waiting, passing: status.passing });
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
        failed: tally.rate('failed'),
      },
      lag: tally.lag,
      nodes,
      ...(upgrading && { upgrade: { to: upgrading.definition.id, phase: upgrading.phase } }),
      upgrades: tally.upgrades,
      ...(pages.length > 0 && { outputs: pages.flatMap((sink) => tally.outputs(sink)) }),
      ...(status.workers && { workers: this.#workers(status.workers) }),
    };
  }

  #workers({ workers, partitions }: NonNullable<ApplicationStatus['workers']>): WorkersView {
    const { tally } = this.#options;
    return {
      workers: workers.map((worker) => ({ ...worker, rate: tally.rate(`worker ${worker.id}`) })),
      partitions: partitions.map((each) => {
        const lag = tally.partitionLags.get(each.partition);
        const rate = tally.rate(`partition ${each.partition}`);
        return { ...each, rate, ...(lag !== undefined && { lag }) };
      }),
    };
  }

  #node(node: GraphNode, status: ApplicationStatus, plan: UpgradePlan | undefined): NodeView {
    const { tally } = this.#options;
    const { id, kind, name, uid, what, from, hasState } = node;
    const change = plan && changeOf(node, plan);
    const common = {
      id,
      name,
      what,
      from,
      rate: tally.rate(id),
      ...(change && { change: change.change, details: change.details }),
    };
    if (kind === 'source') {
      const source = status.sources.find((each) => each.name === name);
      return { ...common, kind, records: 0, waiting: 0, ...source, name };
    }
    if (kind === 'sink')
      return { ...common, kind, records: status.sinks.find((each) => each.name === name)?.outputs ?? 0 };
    const {
      records = 0,
      failed = 0,
      ms = 0,
      running = 0,
    } = status.steps.find((each) => each.uid === uid) ?? {};
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
      running,
      ...tally.step(uid),
    };
  }
}
