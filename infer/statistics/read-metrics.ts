import type { Metric, Registry } from 'prom-client';
import type { Histogram } from './model-totals.js';

export interface Value {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  /** Of a histogram: the figure's name, with an ending. */
  readonly metricName?: string;
}

/** A figure for Prometheus, which is read from facts. */
export interface Figure<Facts> {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  values(facts: Facts): Value[];
}

/** The values of a histogram. */
export function bucketsOf(
  name: string,
  { bounds, counts, sum, count }: Histogram,
  labels: Value['labels'],
): Value[] {
  let below = 0;
  const buckets = counts.map((each, index): Value => {
    below += each;
    return { metricName: `${name}_bucket`, value: below, labels: { ...labels, le: bounds[index] ?? '+Inf' } };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, value: sum, labels },
    { metricName: `${name}_count`, value: count, labels },
  ];
}

/** A server's figures for Prometheus, and those of its process. */
export class FigureReader<Facts> {
  readonly #figures: readonly Figure<Facts>[];
  readonly #factsNow: () => Facts;
  #registry: Promise<Registry> | undefined;
  /** Read once for each answer: many figures come from them. */
  #facts: Facts | undefined;

  constructor(figures: readonly Figure<Facts>[], factsNow: () => Facts) {
    this.#figures = figures;
    this.#factsNow = factsNow;
  }

  async read(): Promise<{ type: string; text: string }> {
    this.#registry ??= openRegistry(this.#figures, () => this.#facts as Facts);
    const registry = await this.#registry;
    this.#facts = this.#factsNow();
    return { type: registry.contentType, text: await registry.metrics() };
  }
}

/** A registry of these figures, and of the process's own. From then on, measuring the process costs a little. */
async function openRegistry<Facts>(figures: readonly Figure<Facts>[], facts: () => Facts): Promise<Registry> {
  const { Registry, collectDefaultMetrics } = await import('prom-client');
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
  for (const figure of figures) registry.registerMetric(new ReadMetric(figure, facts) as unknown as Metric);
  return registry;
}

/**
 * A figure as the registry of prom-client reads one. The classes of prom-client count themselves, and these figures were
 * counted already.
 */
class ReadMetric<Facts> {
  readonly name: string;
  readonly #figure: Figure<Facts>;
  readonly #facts: () => Facts;

  constructor(figure: Figure<Facts>, facts: () => Facts) {
    this.name = figure.name;
    this.#figure = figure;
    this.#facts = facts;
  }

  async get() {
    const { name, help, type, values } = this.#figure;
    return { name, help, type, aggregator: 'sum', values: values(this.#facts()) };
  }
}
