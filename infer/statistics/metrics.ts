import type { Registry } from 'prom-client';
import type { InferenceService, ModelStatistics } from '../service/service.js';
import type { AnswerCounts } from './answer-counts.js';

export interface MetricsOptions {
  readonly service: InferenceService;
  readonly version: string;
  readonly answers: AnswerCounts;
  /** Bytes of requests and answers over HTTP that are in memory. */
  bodyBytes(): number;
  /** Whether to give the figures of models by the names that Triton's dashboards read, too. */
  readonly triton: boolean;
}

type Read = (of: ModelStatistics) => number;

const seconds = (ns: number) => ns / 1e9;
const microseconds = (ns: number) => Math.round(ns / 1000);

/** Counters of each model and version. */
const OF_MODELS: Readonly<Record<string, [help: string, read: Read]>> = {
  farlight_infer_success_total: ['Requests with a result.', ({ success }) => success.count],
  farlight_infer_fail_total: ['Requests without a result.', ({ fail }) => fail.count],
  farlight_infer_items_total: ['Items that were computed.', ({ inferenceCount }) => inferenceCount],
  farlight_infer_runs_total: ['Runs, of any batch.', ({ executionCount }) => executionCount],
  farlight_infer_success_seconds_total: [
    'Time from the arrival of requests to their results.',
    ({ success }) => seconds(success.ns),
  ],
  farlight_infer_fail_seconds_total: [
    'Time from the arrival of requests to their failure.',
    ({ fail }) => seconds(fail.ns),
  ],
  farlight_infer_queue_seconds_total: ['Time that requests have waited.', ({ queue }) => seconds(queue.ns)],
  farlight_infer_input_seconds_total: [
    'Time to bring inputs to lanes.',
    ({ computeInput }) => seconds(computeInput.ns),
  ],
  farlight_infer_run_seconds_total: ['Time of runs.', ({ computeInfer }) => seconds(computeInfer.ns)],
  farlight_infer_output_seconds_total: [
    'Time to bring outputs back.',
    ({ computeOutput }) => seconds(computeOutput.ns),
  ],
};

/** The same by Triton's names. */
const TRITON: Readonly<Record<string, [help: string, read: Read]>> = {
  nv_inference_request_success: ['Requests with a result.', ({ success }) => success.count],
  nv_inference_request_failure: ['Requests without a result.', ({ fail }) => fail.count],
  nv_inference_count: ['Items that were computed.', ({ inferenceCount }) => inferenceCount],
  nv_inference_exec_count: ['Runs, of any batch.', ({ executionCount }) => executionCount],
  nv_inference_request_duration_us: [
    'Time of requests with a result.',
    ({ success }) => microseconds(success.ns),
  ],
  nv_inference_queue_duration_us: ['Time that requests have waited.', ({ queue }) => microseconds(queue.ns)],
  nv_inference_compute_input_duration_us: [
    'Time to bring inputs to lanes.',
    ({ computeInput }) => microseconds(computeInput.ns),
  ],
  nv_inference_compute_infer_duration_us: [
    'Time of runs.',
    ({ computeInfer }) => microseconds(computeInfer.ns),
  ],
  nv_inference_compute_output_duration_us: [
    'Time to bring outputs back.',
    ({ computeOutput }) => microseconds(computeOutput.ns),
  ],
};

/** The figures for Prometheus. Labels name models, versions and statuses: never a tenant. */
export class Metrics {
  readonly #options: MetricsOptions;
  #registry: Promise<Registry> | undefined;
  /** Read once for each answer: many figures come from them. */
  #statistics: readonly ModelStatistics[] = [];

  constructor(options: MetricsOptions) {
    this.#options = options;
  }

  async read(): Promise<{ type: string; text: string }> {
    this.#registry ??= this.#register();
    const registry = await this.#registry;
    this.#statistics = this.#options.service.statistics();
    return { type: registry.contentType, text: await registry.metrics() };
  }

  /** Runs at the first request: from then on, measuring the process costs a little. */
  async #register(): Promise<Registry> {
    const { Counter, Gauge, Registry, collectDefaultMetrics } = await import('prom-client');
    const registry = new Registry();
    const registers = [registry];
    const { service, version, answers, bodyBytes, triton } = this.#options;
    const statistics = () => this.#statistics;
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
    for (const [name, [help, read]] of Object.entries({ ...OF_MODELS, ...(triton && TRITON) })) {
      new Counter({
        name,
        help,
        labelNames: ['model', 'version'],
        registers,
        collect() {
          this.reset();
          for (const each of statistics()) {
            this.inc({ model: each.name, version: each.version }, read(each));
          }
        },
      });
    }
    new Counter({
      name: 'farlight_infer_batches_total',
      help: 'Runs, by the size of their batch.',
      labelNames: ['model', 'version', 'size'],
      registers,
      collect() {
        this.reset();
        for (const { name: model, version, batches } of statistics()) {
          for (const { batchSize: size, computeInfer } of batches) {
            this.inc({ model, version, size }, computeInfer.count);
          }
        }
      },
    });
    new Counter({
      name: 'farlight_infer_answers_total',
      help: 'Answers, by protocol and status.',
      labelNames: ['protocol', 'code'],
      registers,
      collect() {
        this.reset();
        for (const { protocol, code, count } of answers.values()) this.inc({ protocol, code }, count);
      },
    });
    new Gauge({
      name: 'farlight_infer_models',
      help: 'Models and graphs, by state.',
      labelNames: ['state'],
      registers,
      collect() {
        this.reset();
        for (const { state } of service.index()) this.inc({ state });
      },
    });
    new Gauge({
      name: 'farlight_infer_ready',
      help: '1 while every model can answer, else 0.',
      registers,
      collect() {
        this.set(service.ready ? 1 : 0);
      },
    });
    new Gauge({
      name: 'farlight_infer_body_bytes',
      help: 'Bytes of requests and answers over HTTP that are in memory.',
      registers,
      collect() {
        this.set(bodyBytes());
      },
    });
    new Gauge({
      name: 'farlight_build_info',
      help: 'The version of farlight; always 1.',
      labelNames: ['version'],
      registers,
      collect() {
        this.set({ version }, 1);
      },
    });
    return registry;
  }
}
