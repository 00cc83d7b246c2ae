import { bucketsOf, type Figure, FigureReader, single } from '../../page/figures.js';
import type { NodeView, PartitionView } from './application-view.js';
import type { Facts, Observatory } from './observatory.js';

type Kind = NodeView['kind'];

const gauge = (name: string, help: string, read: (facts: Facts) => number): Figure<Facts> =>
  single('gauge', name, help, read);

/** A figure of each source, step or sink, whose uid is its label. */
function ofNodes<K extends Kind>(
  kind: K,
  type: 'counter' | 'gauge',
  name: string,
  help: string,
  read: (node: Extract<NodeView, { kind: K }>) => number | undefined,
): Figure<Facts> {
  return {
    name,
    help,
    type,
    values: ({ all }) =>
      all.nodes.flatMap((node) => {
        if (node.kind !== kind) return [];
        const label = node.kind === 'step' ? node.uid : node.name;
        const value = read(node as Extract<NodeView, { kind: K }>);
        return value === undefined ? [] : [{ value, labels: { [kind]: label } }];
      }),
  };
}

/** A figure of each partition of an application whose work is shared. */
function ofPartitions(
  name: string,
  help: string,
  read: (partition: PartitionView) => number | undefined,
): Figure<Facts> {
  return {
    name,
    help,
    type: 'gauge',
    values: ({ all }) =>
      (all.workers?.partitions ?? []).flatMap((each) => {
        const value = read(each);
        return value === undefined ? [] : [{ value, labels: { partition: each.partition } }];
      }),
  };
}

export const FIGURES: readonly Figure<Facts>[] = [
  gauge(
    'farlight_stream_epoch',
    'The epoch that runs: it grows with each checkpoint.',
    ({ all }) => all.epoch,
  ),
  gauge(
    'farlight_stream_passing_records',
    'Records on their way through the steps.',
    ({ all }) => all.passing,
  ),
  {
    name: 'farlight_stream_workers',
    help: 'Workers that share the work; none where this process does it all.',
    type: 'gauge',
    values: ({ all }) => (all.workers ? [{ value: all.workers.workers.length, labels: {} }] : []),
  },
  ofPartitions(
    'farlight_stream_partition_waiting_records',
    'Records of a partition that were logged and have not begun.',
    ({ waiting }) => waiting,
  ),
  ofPartitions(
    'farlight_stream_partition_passing_records',
    'Records of a partition that are on their way.',
    ({ passing }) => passing,
  ),
  ofPartitions(
    'farlight_stream_partition_lag_seconds',
    'Time of the last output of a partition from the log of its source to its sink.',
    ({ lag }) => (lag === undefined ? undefined : lag / 1000),
  ),
  gauge('farlight_stream_upgrading', 'Whether an upgrade is under way.', ({ all }) =>
    Number(all.upgrade !== undefined),
  ),
  {
    name: 'farlight_stream_upgrades_total',
    help: 'Upgrades, by whether they were committed.',
    type: 'counter',
    values: ({ upgrades }) =>
      Object.entries(upgrades).map(([outcome, value]) => ({ value, labels: { outcome } })),
  },
  ofNodes(
    'source',
    'counter',
    'farlight_stream_source_records_total',
    'Records that were logged.',
    ({ records }) => records,
  ),
  ofNodes(
    'source',
    'gauge',
    'farlight_stream_source_waiting_records',
    'Records that were logged and have not begun.',
    ({ waiting }) => waiting,
  ),
  ofNodes(
    'source',
    'gauge',
    'farlight_stream_source_log_bytes',
    "Bytes of the source's log.",
    ({ bytes }) => bytes,
  ),
  ofNodes(
    'source',
    'gauge',
    'farlight_stream_source_failing',
    'Whether a source fails now, and is tried again.',
    ({ problem }) => Number(problem !== undefined),
  ),
  ofNodes(
    'source',
    'counter',
    'farlight_stream_source_aside_total',
    'Files, messages or other records that were put aside, since they can never be taken.',
    ({ aside = 0 }) => aside,
  ),
  {
    name: 'farlight_stream_posted_records_total',
    help: 'Records that were posted: taken, taken before, or wrong.',
    type: 'counter',
    values: ({ posted }) => {
      const sums = new Map<string, { taken: number; repeated: number; refused: number }>();
      for (const { source, records, repeated, refused } of posted) {
        const sum = sums.get(source) ?? { taken: 0, repeated: 0, refused: 0 };
        sum.taken += records;
        sum.repeated += repeated;
        sum.refused += refused;
        sums.set(source, sum);
      }
      return [...sums].flatMap(([source, sum]) =>
        Object.entries(sum).map(([outcome, value]) => ({ value, labels: { source, outcome } })),
      );
    },
  },
  ofNodes(
    'step',
    'counter',
    'farlight_stream_step_records_total',
    'Records that a step has computed.',
    ({ records }) => records,
  ),
  ofNodes(
    'step',
    'counter',
    'farlight_stream_step_failures_total',
    'Records at which a step failed.',
    ({ failed }) => failed,
  ),
  ofNodes(
    'step',
    'counter',
    'farlight_stream_step_seconds_total',
    'Seconds in a step, with the waiting for a lane.',
    ({ seconds }) => seconds,
  ),
  ofNodes(
    'step',
    'gauge',
    'farlight_stream_step_running_records',
    'Records that a step has begun with.',
    ({ running }) => running,
  ),
  {
    name: 'farlight_stream_batch_size',
    help: 'Items of a run of a step that is a model.',
    type: 'histogram',
    values: ({ batches }) =>
      [...batches].flatMap(([step, sizes]) => bucketsOf('farlight_stream_batch_size', sizes, { step })),
  },
  ofNodes(
    'sink',
    'counter',
    'farlight_stream_sink_outputs_total',
    'Outputs that were written.',
    ({ records }) => records,
  ),
  {
    name: 'farlight_stream_lag_seconds',
    help: 'Time of an output from the log of its source to its sink.',
    type: 'histogram',
    values: ({ lags }) =>
      [...lags].flatMap(([sink, times]) => bucketsOf('farlight_stream_lag_seconds', times, { sink })),
  },
];

/** The figures for Prometheus. Labels name sources, steps and sinks: never a tenant, nor a key. */
export class Metrics extends FigureReader<Facts> {
  constructor(observatory: Observatory) {
    super(FIGURES, () => observatory.facts());
  }
}
