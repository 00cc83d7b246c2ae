import { FigureReader } from '../../page/figures.js';
import type { InferenceService } from '../service/service.js';
import type { AnswerCounts } from './answer-counts.js';
import { type Facts, FIGURES, TRITON_FIGURES } from './figures.js';
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
export class Metrics extends FigureReader<Facts> {
  constructor({ service, observatory, answers, bodyBytes, version, triton }: MetricsOptions) {
    super([...FIGURES, ...(triton ? TRITON_FIGURES : [])], () => ({
      statistics: service.statistics(),
      state: service.state(),
      index: service.index(),
      ready: service.ready,
      models: [...observatory.models],
      refusals: observatory.refusals,
      answers: [...answers.values()],
      bodyBytes: bodyBytes(),
      version,
    }));
  }
}
