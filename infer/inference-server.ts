import type { TlsOptions } from 'node:tls';
import { clearInterval, monotonicNow, setInterval, steadyTime } from '../link/machine/clock.js';
import { LiveEvents } from '../page/live-events.js';
import { type InferenceLimits, Quotas } from './door/quotas.js';
import { type Trust, urlFor, watchTrust } from './door/trust.js';
import { GrpcServer } from './grpc/grpc-server.js';
import { HttpServer } from './http/http-server.js';
import { inferenceRoutes, notServed } from './http/inference-routes.js';
import { pageRoutes } from './http/page-routes.js';
import { liveState, SITE } from './page/dashboard.js';
import { serverMetadata } from './protocol/answers.js';
import type { InferenceService } from './service/service.js';
import { AnswerCounts } from './statistics/answer-counts.js';
import { Metrics } from './statistics/metrics.js';
import { Observatory } from './statistics/observatory.js';
import type { Tracing } from './statistics/tracing.js';

export interface InferenceServerOptions {
  readonly service: InferenceService;
  readonly trust: Trust;
  /** The name that the server gives for itself. */
  readonly name: string;
  /** Of this package. */
  readonly version: string;
  /** The most bytes of a request. Default 64 MiB. */
  readonly limit?: number | undefined;
  /** The most bytes of requests and answers over HTTP that are in memory. Default 16 requests of the longest kind. */
  readonly budget?: number | undefined;
  /** The limits of each tenant's requests, where its tokens set no others. */
  readonly limits?: InferenceLimits | undefined;
  /** Whether to give the figures by the names that Triton's dashboards read, too. */
  readonly tritonMetrics?: boolean | undefined;
  /** Makes traces of requests. The server closes it. */
  readonly tracing?: Tracing | undefined;
  /** A bug, for the log. */
  onError(error: unknown): void;
}

/** In bytes. */
const DEFAULT_LIMIT = 64 << 20;
/** How often gRPC's health is brought up to date, in milliseconds. */
const HEALTH_MS = 500;

/** The Open Inference Protocol in front of a service, over HTTP and gRPC. */
export class InferenceServer {
  readonly observatory: Observatory;
  readonly metrics: Metrics;
  readonly #options: InferenceServerOptions;
  readonly #http: HttpServer;
  readonly #grpc: GrpcServer | undefined;
  readonly #answers = new AnswerCounts();
  /** Keeps the pages of tenants up to date. */
  readonly #live: LiveEvents;
  /** Functions that stop watching. */
  readonly #watches: (() => void)[] = [];
  #httpPort = 0;
  #grpcPort = 0;

  constructor(options: InferenceServerOptions) {
    const { service, trust, name, version, limit = DEFAULT_LIMIT, onError } = options;
    this.#options = options;
    this.#live = new LiveEvents({ name: 'server', onError });
    const metadata = serverMetadata(name, version);
    this.observatory = new Observatory({
      service,
      name,
      version,
      urls: () => this.urls,
      tracing: options.tracing,
      now: monotonicNow,
      time: steadyTime,
    });
    this.metrics = new Metrics({
      service,
      observatory: this.observatory,
      version,
      answers: this.#answers,
      bodyBytes: () => this.#http.budget.taken,
      triton: options.tritonMetrics ?? false,
    });
    const quotas = new Quotas(options.limits, (tenant) => trust.tokens?.limitsOf(tenant) ?? {});
    const common = { service, metadata, quotas, trust, limit, observer: this.observatory, onError };
    this.#http = new HttpServer({
      routes: [
        ...inferenceRoutes({ ...common, metrics: () => this.metrics.read() }),
        ...pageRoutes({
          path: '/v2/farlight',
          view: (tenant) => this.observatory.view(tenant),
          state: (tenant) => liveState(this.observatory, tenant),
          live: this.#live,
          site: trust.tokens && SITE,
        }),
      ],
      notServed,
      guide: '/v2/openapi.json',
      trust,
      limit,
      onError,
      address: trust.http,
      budget: options.budget ?? 16 * limit,
      onAnswer: (status) => this.#answers.add('http', `${status}`),
    });
    this.#grpc =
      trust.grpc &&
      new GrpcServer({
        ...common,
        address: trust.grpc,
        onAnswer: (code) => this.#answers.add('grpc', code),
      });
  }

  /** @throws FarlightError PORT_IN_USE, BAD_OPTION (rejects). Call `close` even then. */
  async listen(): Promise<void> {
    const { trust, service } = this.#options;
    this.#httpPort = await this.#http.listen();
    const grpc = this.#grpc;
    if (grpc) {
      this.#grpcPort = await grpc.listen();
      const timer = setInterval(() => grpc.health.set(service.ready), HEALTH_MS).unref();
      this.#watches.push(() => clearInterval(timer));
    }
    const renew = (renewed: TlsOptions) => {
      this.#http.renew(renewed);
      this.#grpc?.renew(renewed);
    };
    this.#watches.push(watchTrust(trust, renew));
  }

  /** For clients: `http://` or `https://`. */
  get httpUrl(): string {
    const { trust } = this.#options;
    return urlFor(trust, 'http', trust.http, this.#httpPort);
  }

  /** For clients: `grpc://` or `grpcs://`; undefined where gRPC is not served. */
  get grpcUrl(): string | undefined {
    const { trust } = this.#options;
    return trust.grpc && urlFor(trust, 'grpc', trust.grpc, this.#grpcPort);
  }

  /** The addresses for clients. */
  get urls(): string[] {
    return [this.httpUrl, this.grpcUrl].filter((url) => url !== undefined);
  }

  /** Answers the requests that are there, for at most `graceMs`, and closes the connections. */
  async close(graceMs: number): Promise<void> {
    for (const end of this.#watches.splice(0)) end();
    this.#live.close();
    await Promise.all([this.#http.close(graceMs), this.#grpc?.close(graceMs)]);
    this.observatory.close();
    await this.#options.tracing?.close();
  }
}
