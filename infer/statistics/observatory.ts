import type { Arrival, ObservedRequest, RequestObserver } from '../service/request-observer.js';
import type { InferenceErrorCode, InferenceService } from '../service/service.js';
import { History, type SecondView } from './history.js';
import { ModelTotals } from './model-totals.js';
import { partsOf } from './parts.js';
import { RequestRecord } from './request-record.js';
import { requestTree } from './request-spans.js';
import { RequestTimes } from './request-times.js';
import type { RequestView, ServerView, TenantView } from './server-view.js';
import type { Tracing } from './tracing.js';

export interface ObservatoryOptions {
  readonly service: InferenceService;
  /** The name that the server gives for itself, and the version of this package. */
  readonly name: string;
  readonly version: string;
  /** The addresses for clients. */
  urls(): readonly string[];
  /** Milliseconds of a steady clock, and since 1970. */
  now(): number;
  time(): number;
  readonly tracing?: Tracing | undefined;
}

/** The last requests that are kept of each tenant, and that are shown of all. */
const MOST_OF_TENANT = 50;
const MOST_SHOWN = 100;
/** The most tenants whose requests are kept. */
const MOST_TENANTS = 256;

/** The counts of one tenant, and its last requests. */
interface Tenant {
  open: number;
  requests: number;
  failed: number;
  /** The oldest comes first. */
  readonly recent: RequestView[];
}

/** Models that no longer exist are forgotten beyond so many. */
const MOST_MODELS = 1000;

/** The facts of what a server does: each request reports here, and nothing here asks anybody but the service's state. */
export class Observatory implements RequestObserver {
  readonly #options: ObservatoryOptions;
  readonly #startedAt: number;
  readonly #history = new History();
  readonly #times = new RequestTimes();
  /** By name; the least recently used comes first. */
  readonly #tenants = new Map<string, Tenant>();
  readonly #models = new Map<string, { model: string; version: string; totals: ModelTotals }>();
  readonly #refusals = new Map<InferenceErrorCode, number>();
  readonly #stop: () => void;
  #open = 0;
  #requests = 0;
  #failed = 0;

  constructor(options: ObservatoryOptions) {
    this.#options = options;
    this.#startedAt = options.time();
    this.#stop = options.service.onRun((items) => {
      this.#history.ran(options.time(), items);
      this.#look();
    });
  }

  begin(arrival: Arrival): ObservedRequest {
    this.#open += 1;
    this.#tenant(arrival.tenant).open += 1;
    const trace = this.#options.tracing?.begin(arrival);
    return new RequestRecord(arrival, this.#options.now, (record) => {
      this.#ended(record);
      trace?.end(requestTree(record));
    });
  }

  /** How many requests had no result, by the reason. */
  get refusals(): ReadonlyMap<InferenceErrorCode, number> {
    return this.#refusals;
  }

  /** The times of all requests with a result, by model and version. */
  get models(): Iterable<{ model: string; version: string; totals: ModelTotals }> {
    return this.#models.values();
  }

  /** For the owner, or for one tenant. */
  view(tenant?: string): ServerView {
    const { service, name, version, urls, now, time } = this.#options;
    this.#look();
    const own = tenant === undefined ? undefined : this.#tenants.get(tenant);
    const { open, requests, failed } =
      tenant === undefined
        ? { open: this.#open, requests: this.#requests, failed: this.#failed }
        : (own ?? { open: 0, requests: 0, failed: 0 });
    const shared = {
      name,
      version,
      urls: urls(),
      startedAt: this.#startedAt,
      now: time(),
      ready: service.ready,
      models: service.index(),
      open,
      totals: { requests, failed },
      rates: this.#history.rates(time(), tenant),
      times: this.#times.view(now(), tenant),
      recent: tenant === undefined ? this.#recent() : [...(own?.recent ?? [])].reverse().map(forTenant),
    };
    if (tenant !== undefined) return { ...shared, tenant };
    const { backlog, queues, hosts, lanes } = service.state();
    return { ...shared, all: { backlog, queues, hosts, lanes, tenants: this.#tenantViews() } };
  }

  /** The seconds from this one on, for the owner or for one tenant. */
  seconds(from: number, tenant?: string): SecondView[] {
    return this.#history.from(from, tenant);
  }

  close(): void {
    this.#stop();
  }

  #ended(record: RequestRecord): void {
    const { now, time } = this.#options;
    const { arrival, from, to, spans, model, version, outcome, why } = record;
    const well = outcome === 'done';
    const parts = partsOf(spans, from, to);
    const ms = to - from;
    const whose = this.#tenant(arrival.tenant);
    this.#open -= 1;
    this.#requests += 1;
    whose.open -= 1;
    whose.requests += 1;
    if (!well) {
      this.#failed += 1;
      whose.failed += 1;
      this.#refusals.set(outcome, (this.#refusals.get(outcome) ?? 0) + 1);
    } else {
      this.#times.add({ model, version, tenant: arrival.tenant }, { at: now(), ms, parts });
      this.#totalsOf(model, version).add(ms, parts);
    }
    const runs = new Map(spans.flatMap(({ run }) => (run ? [[run.id, run] as const] : [])));
    whose.recent.push({
      number: this.#requests,
      model,
      version,
      tenant: arrival.tenant,
      protocol: arrival.protocol,
      at: time() - (now() - from),
      ms,
      outcome,
      why,
      parts,
      runs: runs.size,
      largest: Math.max(0, ...[...runs.values()].map(({ batch }) => batch)),
      lanes: [...new Set([...runs.values()].map(({ lane }) => lane))],
    });
    if (whose.recent.length > MOST_OF_TENANT) whose.recent.shift();
    this.#history.ended(time(), arrival.tenant, well);
    this.#look();
  }

  /** Notes the state of the service, once a second at most: to read it looks at each request. */
  #look(): void {
    const now = this.#options.time();
    if (!this.#history.hasState(now)) this.#history.state(now, this.#options.service.state());
  }

  #recent(): RequestView[] {
    const all = [...this.#tenants.values()].flatMap(({ recent }) => recent);
    return all.sort((a, b) => b.number - a.number).slice(0, MOST_SHOWN);
  }

  #tenantViews(): TenantView[] {
    const views = [...this.#tenants].map(([tenant, { open, requests, failed }]) => ({
      tenant,
      open,
      requests,
      failed,
    }));
    return views.sort((a, b) => a.tenant.localeCompare(b.tenant));
  }

  #tenant(name: string): Tenant {
    const known = this.#tenants.get(name);
    const tenant = known ?? { open: 0, requests: 0, failed: 0, recent: [] };
    this.#tenants.delete(name);
    this.#tenants.set(name, tenant);
    if (!known && this.#tenants.size > MOST_TENANTS) {
      const [idle] = [...this.#tenants].find(([, { open }]) => open === 0) ?? [];
      if (idle !== undefined && idle !== name) this.#tenants.delete(idle);
    }
    return tenant;
  }

  #totalsOf(model: string, version: string): ModelTotals {
    const key = JSON.stringify([model, version]);
    let found = this.#models.get(key);
    if (!found) {
      found = { model, version, totals: new ModelTotals() };
      if (this.#models.size >= MOST_MODELS) this.#models.delete(this.#models.keys().next().value as string);
      this.#models.set(key, found);
    }
    return found.totals;
  }
}

/** Batches have items of other tenants, and lanes have the addresses of hosts. */
function forTenant(request: RequestView): RequestView {
  return { ...request, largest: 0, lanes: [] };
}
