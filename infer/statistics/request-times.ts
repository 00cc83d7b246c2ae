import { PARTS, type Part } from '../service/request-span.js';
import type { PartTimes } from './parts.js';

/** The most requests of a model and a tenant that are looked at, and how old they may be, in milliseconds. */
const MOST_SAMPLES = 500;
const OLDEST_MS = 300_000;
/** The most pairs of a model and a tenant. */
const MOST_RINGS = 256;

interface Sample {
  readonly at: number;
  readonly ms: number;
  readonly parts: PartTimes;
}

interface Ring {
  readonly model: string;
  readonly version: string;
  readonly tenant: string;
  /** The oldest is at `next` when there are as many as there may be. */
  readonly samples: Sample[];
  next: number;
}

/** In milliseconds: half of the requests took no longer, and 99 of 100. */
export interface Quantiles {
  readonly median: number;
  readonly p99: number;
}

/** Where the time of a model's last requests went. */
export interface TimesView extends Quantiles {
  readonly model: string;
  readonly version: string;
  readonly requests: number;
  readonly parts: Readonly<Record<Part, Quantiles>>;
}

/** The times of the last requests with a result, by model and tenant. */
export class RequestTimes {
  /** The least recently used comes first. */
  readonly #rings = new Map<string, Ring>();

  add({ model, version, tenant }: { model: string; version: string; tenant: string }, sample: Sample): void {
    const key = JSON.stringify([model, version, tenant]);
    const ring = this.#rings.get(key) ?? { model, version, tenant, samples: [], next: 0 };
    this.#rings.delete(key);
    this.#rings.set(key, ring);
    ring.samples[ring.next] = sample;
    ring.next = (ring.next + 1) % MOST_SAMPLES;
    if (this.#rings.size > MOST_RINGS) this.#rings.delete(this.#rings.keys().next().value as string);
  }

  /** Of all tenants, or of one, by model and version. */
  view(now: number, tenant?: string): TimesView[] {
    const byModel = new Map<string, { model: string; version: string; samples: Sample[] }>();
    for (const { model, version, tenant: whose, samples } of this.#rings.values()) {
      if (tenant !== undefined && whose !== tenant) continue;
      const recent = samples.filter(({ at }) => at > now - OLDEST_MS);
      if (recent.length === 0) continue;
      const key = JSON.stringify([model, version]);
      const found = byModel.get(key) ?? { model, version, samples: [] };
      byModel.set(key, found);
      found.samples.push(...recent);
    }
    const views = [...byModel.values()].map(({ model, version, samples }) => {
      const parts = Object.fromEntries(
        PARTS.map((part) => [part, quantiles(samples.map((sample) => sample.parts[part]))]),
      ) as Record<Part, Quantiles>;
      return { model, version, requests: samples.length, ...quantiles(samples.map(({ ms }) => ms)), parts };
    });
    return views.sort((a, b) => a.model.localeCompare(b.model) || a.version.localeCompare(b.version));
  }
}

/** By the nearest rank: a value that one of the requests had. */
export function quantiles(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return { median: at(0.5), p99: at(0.99) };
}
