import type { Gauge, Registry } from 'prom-client';
import type { ApplicationStatus } from '../run/status.js';

/** A figure for Prometheus, read from the status. */
interface Figure {
  readonly name: string;
  readonly help: string;
  read(status: ApplicationStatus): readonly (readonly [label: string, value: number])[];
  /** The name of its label; none where it has one value. */
  readonly label?: string;
}

const FIGURES: readonly Figure[] = [
  {
    name: 'epoch',
    help: 'The epoch that runs: it grows with each checkpoint.',
    read: ({ epoch }) => [['', epoch]],
  },
  {
    name: 'passing_records',
    help: 'Records on their way through the steps.',
    read: ({ passing }) => [['', passing]],
  },
  {
    name: 'upgrading',
    help: 'Whether an upgrade is under way.',
    read: ({ isUpgrading }) => [['', Number(isUpgrading)]],
  },
  {
    name: 'source_records_total',
    help: 'Records that were logged.',
    label: 'source',
    read: ({ sources }) => sources.map((each) => [each.name, each.records]),
  },
  {
    name: 'source_waiting_records',
    help: 'Records that were logged and have not begun.',
    label: 'source',
    read: ({ sources }) => sources.map((each) => [each.name, each.waiting]),
  },
  {
    name: 'source_log_bytes',
    help: "Bytes of the source's log.",
    label: 'source',
    read: ({ sources }) => sources.map((each) => [each.name, each.bytes]),
  },
  {
    name: 'step_records_total',
    help: 'Records that a step has computed.',
    label: 'step',
    read: ({ steps }) => steps.map((each) => [each.uid, each.records]),
  },
  {
    name: 'step_failures_total',
    help: 'Records at which a step failed.',
    label: 'step',
    read: ({ steps }) => steps.map((each) => [each.uid, each.failed]),
  },
  {
    name: 'step_seconds_total',
    help: 'Seconds in a step, with the waiting for a lane.',
    label: 'step',
    read: ({ steps }) => steps.map((each) => [each.uid, each.ms / 1000]),
  },
  {
    name: 'sink_outputs_total',
    help: 'Outputs that were written.',
    label: 'sink',
    read: ({ sinks }) => sinks.map((each) => [each.name, each.outputs]),
  },
];

/** The figures for Prometheus. */
export class Figures {
  readonly #status: () => ApplicationStatus;
  #registry: Promise<Registry> | undefined;

  constructor(status: () => ApplicationStatus) {
    this.#status = status;
  }

  async read(): Promise<{ type: string; text: string }> {
    this.#registry ??= this.#register();
    const registry = await this.#registry;
    return { type: registry.contentType, text: await registry.metrics() };
  }

  async #register(): Promise<Registry> {
    const { Gauge, Registry, collectDefaultMetrics } = await import('prom-client');
    const registry = new Registry();
    collectDefaultMetrics({ register: registry });
    const status = this.#status;
    for (const { name, help, label, read } of FIGURES) {
      new Gauge({
        name: `farlight_stream_${name}`,
        help,
        labelNames: label === undefined ? [] : [label],
        registers: [registry],
        collect(this: Gauge) {
          this.reset();
          for (const [value, figure] of read(status()))
            this.set(label === undefined ? {} : { [label]: value }, figure);
        },
      });
    }
    return registry;
  }
}
