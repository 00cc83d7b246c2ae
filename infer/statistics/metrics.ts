import type { Registry } from 'prom-client';
import type { InferenceService } from '../service/service.js';
import type { AnswerCounts } from './answer-counts.js';
import { type Facts, FIGURES, TRITON_FIGURES } from './figures.js';
import type { Observatory } from './observatory.js';
import { openRegistry } from './read-metrics.js';

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
    const { triton } = this.#options;
    this.#registry ??= openRegistry(
      [...FIGURES, ...(triton ? TRITON_FIGURES : [])],
      () => this.#facts as Facts,
    );
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
}
