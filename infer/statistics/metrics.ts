import type { Metric, Registry } from 'prom-client';
import type { InferenceService } from '../service/service.js';
import type { AnswerCounts } from './answer-counts.js';
import { type Facts, FIGURES, type Figure, TRITON_FIGURES } from './figures.js';
import type { Observatory } from './observatory.js';

export interface MetricsOptions {
  readonly service: InferenceService;
  readonly observatory: Observatory;
  readonly version: string;
  readonly answers: AnswerCounts;
  /** Bytes of requests and answers over HTTP that are in memory. */
  bodyBytes(): number;
  /** Whether to give the figures by the names that Triton's dashboards read, too. */
  readonly triton: boolean;
}

/** The figures for Prometheus. Labels name models, versions, hosts and statuses: never a tenant. */
export class Metrics {
  readonly #options: MetricsOptions;
  #registry: Promise<Registry> | undefined;
  /** Read once for each answer: many figures come from them. */
  #facts: Facts | undefined;

  constructor(options: MetricsOptions) {
    this.#options = options;
  }

  async read(): Promise<{ type: string; text: string }> {
    this.#registry ??= this.#register();
    const registry = await this.#registry;
    const { service, observatory, answers, bodyBytes, version } = this.#options;
    this.#facts = {
      statistics: service.statistics(),
      state: service.state(),
      index: service.index(),
      ready: service.ready,
      models: [...observatory.models],
      refusals: observatory.refusals,
      answers: [...answers.values()],
      bodyBytes: bodyBytes(),
      version,
    };
    return { type: registry.contentType, text: await registry.metrics() };
  }

  /** Runs at the first request: from then on, measuring the process costs a little. */
  async #register(): Promise<Registry> {
    const { Registry, collectDefaultMetrics } = await import('prom-client');
    const registry = new Registry();
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
    const { triton } = this.#options;
    for (const figure of [...FIGURES, ...(triton ? TRITON_FIGURES : [])]) {
      registry.registerMetric(new ReadMetric(figure, () => this.#facts as Facts) as unknown as Metric);
    }
    return registry;
  }
}

/**
 * A figure as the registry of prom-client reads one. The classes of prom-client count themselves, and these figures were
 * counted already.
 */
class ReadMetric {
  readonly name: string;
  readonly #figure: Figure;
  readonly #facts: () => Facts;

  constructor(figure: Figure, facts: () => Facts) {
    this.name = figure.name;
    this.#figure = figure;
    this.#facts = facts;
  }

  async get() {
    const { name, help, type, values } = this.#figure;
    return { name, help, type, aggregator: 'sum', values: values(this.#facts()) };
  }
}
