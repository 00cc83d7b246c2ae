import { bucketsOf, buildInfo, type Figure, Histogram, single, type Value } from '../../page/figures.js';
import { PARTS } from '../service/request-span.js';
import type { IndexEntry, InferenceErrorCode, ModelStatistics } from '../service/service.js';
import type { HostMemoryState, ServiceState } from '../service/state.js';
import type { ModelTotals } from './model-totals.js';

/** All that the figures are read from. */
export interface Facts {
  readonly statistics: readonly ModelStatistics[];
  readonly state: ServiceState;
  readonly index: readonly IndexEntry[];
  readonly ready: boolean;
  readonly models: readonly { model: string; version: string; totals: ModelTotals }[];
  readonly refusals: ReadonlyMap<InferenceErrorCode, number>;
  readonly answers: readonly { protocol: string; code: string; count: number }[];
  readonly bodyBytes: number;
  readonly version: string;
}

type InferenceFigure = Figure<Facts>;

const seconds = (ns: number) => ns / 1e9;
const microseconds = (ns: number) => Math.round(ns / 1000);
const labelsOf = ({ name: model, version }: { name: string; version: string }) => ({ model, version });

/** A counter of each model and version. */
function ofModels(name: string, help: string, read: (of: ModelStatistics) => number): InferenceFigure {
  return {
    name,
    help,
    type: 'counter',
    values: ({ statistics }) => statistics.map((each) => ({ value: read(each), labels: labelsOf(each) })),
  };
}

const gauge = (name: string, help: string, read: (facts: Facts) => number): InferenceFigure =>
  single('gauge', name, help, read);

/** A gauge of each model's and function's queue. */
function ofQueues(
  name: string,
  help: string,
  read: (of: ServiceState['queues'][number]) => number,
): InferenceFigure {
  return {
    name,
    help,
    type: 'gauge',
    values: ({ state }) =>
      state.queues.map((queue) => ({
        value: read(queue),
        labels: { model: queue.model, version: queue.version, function: queue.function ?? '' },
      })),
  };
}

/** A gauge of each GPU host's memory. */
function ofHosts(
  name: string,
  help: string,
  read: (memory: HostMemoryState, host: string) => Value[],
): InferenceFigure {
  return {
    name,
    help,
    type: 'gauge',
    values: ({ state }) =>
      state.hosts.flatMap(({ name: host, memory }) => (memory ? read(memory, host) : [])),
  };
}

/** A gauge of each GPU host's memory, by the uses that are named. */
function ofMemory(name: string, help: string, uses: readonly (keyof HostMemoryState)[]): InferenceFigure {
  return ofHosts(name, help, (memory, host) =>
    uses.map((use) => ({ value: memory[use], labels: uses.length > 1 ? { host, use } : { host } })),
  );
}

const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
const LANE_STATES = ['idle', 'loading', 'running', 'closed'];
/** Each of them is there from the start. */
const REASONS: readonly InferenceErrorCode[] = [
  'invalid',
  'not-found',
  'unavailable',
  'overloaded',
  'quota',
  'too-large',
  'expired',
  'cancelled',
  'forbidden',
  'internal',
];

export const FIGURES: readonly InferenceFigure[] = [
  ofModels('farlight_infer_success_total', 'Requests with a result.', ({ success }) => success.count),
  ofModels('farlight_infer_fail_total', 'Requests without a result.', ({ fail }) => fail.count),
  ofModels('farlight_infer_items_total', 'Items that were computed.', (each) => each.inferenceCount),
  ofModels('farlight_infer_runs_total', 'Runs, of any batch.', ({ executionCount }) => executionCount),
  ofModels(
    'farlight_infer_success_seconds_total',
    'Time from the arrival of requests to their results.',
    ({ success }) => seconds(success.ns),
  ),
  ofModels(
    'farlight_infer_fail_seconds_total',
    'Time from the arrival of requests to their failure.',
    ({ fail }) => seconds(fail.ns),
  ),
  ofModels('farlight_infer_queue_seconds_total', 'Time that requests have waited.', ({ queue }) =>
    seconds(queue.ns),
  ),
  ofModels('farlight_infer_input_seconds_total', 'Time to bring inputs to lanes.', ({ computeInput }) =>
    seconds(computeInput.ns),
  ),
  ofModels('farlight_infer_run_seconds_total', 'Time of runs.', ({ computeInfer }) =>
    seconds(computeInfer.ns),
  ),
  ofModels('farlight_infer_output_seconds_total', 'Time to bring outputs back.', ({ computeOutput }) =>
    seconds(computeOutput.ns),
  ),
  {
    name: 'farlight_infer_batch_size',
    help: 'Items of a run.',
    type: 'histogram',
    values: ({ statistics }) =>
      statistics.flatMap((each) => {
        const sizes = new Histogram(BATCH_SIZES);
        for (const { batchSize, computeInfer } of each.batches) sizes.add(batchSize, computeInfer.count);
        return bucketsOf('farlight_infer_batch_size', sizes, labelsOf(each));
      }),
  },
  {
    name: 'farlight_infer_request_seconds',
    help: 'Time from the arrival of a request with a result until its answer was sent.',
    type: 'histogram',
    values: ({ models }) =>
      models.flatMap(({ model, version, totals }) =>
        bucketsOf('farlight_infer_request_seconds', totals.seconds, { model, version }),
      ),
  },
  {
    name: 'farlight_infer_part_seconds_total',
    help: 'Time of the requests with a result, by part.',
    type: 'counter',
    values: ({ models }) =>
      models.flatMap(({ model, version, totals }) =>
        PARTS.map((part) => ({ value: totals.parts[part] / 1000, labels: { model, version, part } })),
      ),
  },
  ofQueues('farlight_infer_waiting_items', 'Items that wait to run.', ({ waiting }) => waiting),
  ofQueues('farlight_infer_running_items', 'Items that run.', ({ running }) => running),
  ofQueues(
    'farlight_infer_oldest_wait_seconds',
    'How long the oldest waiting item has waited.',
    ({ oldest }) => oldest / 1000,
  ),
  gauge('farlight_infer_open_requests', 'Requests that wait or run.', ({ state }) => state.requests),
  gauge('farlight_infer_backlog_seconds', 'The waiting work, roughly.', ({ state }) => state.backlog / 1000),
  ofMemory('farlight_infer_gpu_memory_limit_bytes', 'GPU memory that lanes may have at most.', ['limit']),
  ofMemory('farlight_infer_gpu_memory_available_bytes', 'GPU memory that lanes may have now.', ['available']),
  ofMemory(
    'farlight_infer_gpu_memory_bytes',
    'GPU memory that lanes use, that they have reserved, and that others use.',
    ['used', 'reserved', 'others'],
  ),
  ofMemory(
    'farlight_infer_gpu_memory_planned_bytes',
    "GPU memory by the scheduler's plan: weights of models, runs, and values between steps.",
    ['weights', 'runs', 'values'],
  ),
  {
    name: 'farlight_infer_lanes',
    help: 'Lanes, by host and state.',
    type: 'gauge',
    values: ({ state: { hosts, lanes } }) =>
      hosts.flatMap(({ name: host }) =>
        LANE_STATES.map((state) => ({
          value: lanes.filter((lane) => lane.host === host && lane.state === state).length,
          labels: { host, state },
        })),
      ),
  },
  {
    name: 'farlight_infer_refusals_total',
    help: 'Requests without a result, by the reason.',
    type: 'counter',
    values: ({ refusals }) =>
      REASONS.map((reason) => ({ value: refusals.get(reason) ?? 0, labels: { reason } })),
  },
  {
    name: 'farlight_infer_answers_total',
    help: 'Answers, by protocol and status.',
    type: 'counter',
    values: ({ answers }) =>
      answers.map(({ protocol, code, count }) => ({ value: count, labels: { protocol, code } })),
  },
  {
    name: 'farlight_infer_models',
    help: 'Models and graphs, by state.',
    type: 'gauge',
    values({ index }) {
      const counts = new Map<string, number>();
      for (const { state } of index) counts.set(state, (counts.get(state) ?? 0) + 1);
      return [...counts].map(([state, value]) => ({ value, labels: { state } }));
    },
  },
  gauge('farlight_infer_ready', '1 while every model can answer, else 0.', ({ ready }) => (ready ? 1 : 0)),
  gauge(
    'farlight_infer_body_bytes',
    'Bytes of requests and answers over HTTP that are in memory.',
    ({ bodyBytes }) => bodyBytes,
  ),
  buildInfo(({ version }) => version),
];

/** A figure of each GPU host's memory, by the names of Triton: a host stands for its GPU. */
function ofGpus(name: string, help: string, read: (memory: HostMemoryState) => number): InferenceFigure {
  return ofHosts(name, help, (memory, host) => [{ value: read(memory), labels: { gpu_uuid: host } }]);
}

/** The same by the names that Triton's dashboards read. */
export const TRITON_FIGURES: readonly InferenceFigure[] = [
  ofModels('nv_inference_request_success', 'Requests with a result.', ({ success }) => success.count),
  ofModels('nv_inference_request_failure', 'Requests without a result.', ({ fail }) => fail.count),
  ofModels('nv_inference_count', 'Items that were computed.', ({ inferenceCount }) => inferenceCount),
  ofModels('nv_inference_exec_count', 'Runs, of any batch.', ({ executionCount }) => executionCount),
  ofModels('nv_inference_request_duration_us', 'Time of requests with a result.', ({ success }) =>
    microseconds(success.ns),
  ),
  ofModels('nv_inference_queue_duration_us', 'Time that requests have waited.', ({ queue }) =>
    microseconds(queue.ns),
  ),
  ofModels('nv_inference_compute_input_duration_us', 'Time to bring inputs to lanes.', (each) =>
    microseconds(each.computeInput.ns),
  ),
  ofModels('nv_inference_compute_infer_duration_us', 'Time of runs.', ({ computeInfer }) =>
    microseconds(computeInfer.ns),
  ),
  ofModels('nv_inference_compute_output_duration_us', 'Time to bring outputs back.', ({ computeOutput }) =>
    microseconds(computeOutput.ns),
  ),
  {
    name: 'nv_inference_pending_request_count',
    help: 'Items that wait to run.',
    type: 'gauge',
    values: ({ state }) =>
      state.queues
        .filter((queue) => queue.function === undefined)
        .map(({ model, version, waiting }) => ({ value: waiting, labels: { model, version } })),
  },
  ofGpus('nv_gpu_memory_total_bytes', 'GPU memory that lanes may have at most.', ({ limit }) => limit),
  ofGpus(
    'nv_gpu_memory_used_bytes',
    'GPU memory that is used, by lanes and by others.',
    (memory) => memory.used + memory.others,
  ),
];
