import type { Metric, Registry } from 'prom-client';

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

/** Counts of values up to each bound, as Prometheus has them. */
export class Histogram {
  readonly bounds: readonly number[];
  /** For each bound, the number of values up to it and above the bound before. The last counts the values above all bounds. */
  readonly counts: number[];
  sum = 0;
  count = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = [...bounds, 0].fill(0);
  }

  add(value: number, times = 1): void {
    const index = this.bounds.findIndex((bound) => value <= bound);
    const bucket = index < 0 ? this.bounds.length : index;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + times;
    this.sum += value * times;
    this.count += times;
  }
}

/** A figure that has one value and no labels. */
export function single<Facts>(
  type: 'counter' | 'gauge',
  name: string,
  help: string,
  read: (facts: Facts) => number,
): Figure<Facts> {
  return { name, help, type, values: (facts) => [{ value: read(facts), labels: {} }] };
}

/** The figure that names the version of a server. */
export function buildInfo<Facts>(version: (facts: Facts) => string): Figure<Facts> {
  return {
    name: 'farlight_build_info',
    help: 'The version of farlight; always 1.',
    type: 'gauge',
    values: (facts) => [{ value: 1, labels: { version: version(facts) } }],
  };
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

/** A server's figures for Prometheus, and the figures of its process. */
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
 * A figure as the registry of prom-client reads it. The classes of prom-client count by themselves, but these figures are
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
