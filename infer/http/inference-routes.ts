import type { Quotas } from '../door/quotas.js';
import {
  configurationAnswer,
  indexAnswer,
  metadataAnswer,
  type ServerMetadata,
  statisticsAnswer,
} from '../protocol/answers.js';
import { loadModel, unloadModel } from '../protocol/repository.js';
import { answer, isObject, type Parameters, parametersOf, traceparentOf } from '../protocol/request.js';
import { settingsOf, traceSettings } from '../protocol/trace-settings.js';
import type { RequestObserver } from '../service/request-observer.js';
import { InferenceError, type InferenceService, invalid } from '../service/service.js';
import type { Exchange } from './exchange.js';
import { readInferMessage, writeInferAnswer } from './infer-message.js';
import { readJson } from './json.js';
import { OPEN_API } from './openapi.js';
import type { PathNames, Route } from './routes.js';

export interface RoutesOptions {
  readonly service: InferenceService;
  readonly metadata: ServerMetadata;
  /** Hears of each request for inference. */
  readonly observer: RequestObserver;
  readonly quotas: Quotas;
  /** The figures for Prometheus. */
  metrics(): Promise<{ type: string; text: string }>;
}

/** Parts of the protocol that are not served here, each with the reason. */
const NOT_SERVED: Readonly<Record<string, string>> = {
  '/v2/systemsharedmemory': 'shared memory is not served: send tensors in the request',
  '/v2/cudasharedmemory': 'shared memory is not served: send tensors in the request',
  '/v2/logging': 'how the server logs is set when it starts, with --log-level',
};

/** Why a path of the protocol is not served; undefined for a path that the protocol does not have. */
export function notServed(path: string): string | undefined {
  const found = Object.keys(NOT_SERVED).find((each) => path === each || path.startsWith(`${each}/`));
  if (found) return NOT_SERVED[found];
  return /^\/v2\/models\/.*\/(generate|generate_stream|systemsharedmemory)$/.test(path)
    ? 'this extension of the protocol is not served; ask /v2/models/NAME/infer'
    : undefined;
}

export function inferenceRoutes({ service, metadata, quotas, observer, metrics }: RoutesOptions): Route[] {
  return [
    { method: 'GET', path: '/v2', handle: (exchange) => exchange.json(metadata) },
    { method: 'GET', path: '/v2/openapi.json', handle: (exchange) => exchange.json(OPEN_API) },
    {
      method: 'GET',
      path: '/v2/health/live',
      open: true,
      handle: (exchange) => exchange.json({ live: true }),
    },
    {
      method: 'GET',
      path: '/v2/health/ready',
      open: true,
      handle(exchange) {
        if (!service.ready) throw new InferenceError('unavailable', 'not every model is ready yet');
        exchange.json({ ready: true });
      },
    },
    {
      method: 'GET',
      path: '/v2/models/stats',
      handle: (exchange) => exchange.json(statisticsAnswer(service.statistics())),
    },
    {
      method: 'GET',
      path: '/v2/models/{model}',
      versions: true,
      handle: (exchange, { model, version }) =>
        exchange.json(metadataAnswer(service.metadata(model, version))),
    },
    {
      method: 'GET',
      path: '/v2/models/{model}/ready',
      versions: true,
      handle(exchange, { model, version }) {
        exchange.json({ name: service.metadata(model, version).name, ready: true });
      },
    },
    {
      method: 'GET',
      path: '/v2/models/{model}/config',
      versions: true,
      handle: (exchange, { model, version }) =>
        exchange.json(configurationAnswer(service.configuration(model, version))),
    },
    {
      method: 'GET',
      path: '/v2/models/{model}/stats',
      versions: true,
      handle: (exchange, { model, version }) =>
        exchange.json(statisticsAnswer(service.statistics(model, version))),
    },
    {
      method: 'POST',
      path: '/v2/models/{model}/infer',
      versions: true,
      async handle(exchange, names, { tenant }) {
        const { headers } = exchange.request;
        const length = headers['inference-header-content-length'];
        const seen = observer.begin({
          protocol: 'http',
          tenant,
          traceparent: traceparentOf(headers.traceparent),
        });
        exchange.onDone((status) => seen.end(status === 0 ? '' : `${status}`));
        try {
          const quota = quotas.begin(tenant);
          exchange.onDone(() => quota.end());
          const body = await exchange.body(quota);
          const { request, isBinary } = readInferMessage(service, names, body, length?.toString());
          const share = quotas.shareOf(tenant);
          const context = { tenant, share, deadline: undefined, signal: exchange.signal, seen };
          const result = await answer(service, request, context);
          seen.done(result.version);
          const { body: answered, headerLength } = writeInferAnswer(result, isBinary);
          await exchange.tensors(answered, headerLength);
        } catch (error) {
          seen.failed(error);
          throw error;
        }
      },
    },
    {
      method: 'POST',
      path: '/v2/repository/index',
      async handle(exchange) {
        const { ready } = await objectOf(exchange);
        exchange.json(indexAnswer(service, ready === true));
      },
    },
    {
      method: 'POST',
      path: '/v2/repository/models/{model}/load',
      async handle(exchange, { model }, client) {
        await loadModel(service, client, model, parametersOf(await objectOf(exchange)));
        exchange.json({});
      },
    },
    {
      method: 'POST',
      path: '/v2/repository/models/{model}/unload',
      async handle(exchange, { model }, client) {
        await unloadModel(service, client, model, parametersOf(await objectOf(exchange)));
        exchange.json({});
      },
    },
    ...['/v2/trace/setting', '/v2/models/{model}/trace/setting'].flatMap((path) =>
      (['GET', 'POST'] as const).map((method) => ({
        method,
        path,
        versions: path.includes('{model}'),
        async handle(exchange: Exchange, { model, version }: PathNames) {
          if (model !== '') service.metadata(model, version);
          const changes = method === 'POST' ? settingsOf(await objectOf(exchange)) : {};
          exchange.json(traceSettings(changes));
        },
      })),
    ),
    {
      method: 'GET',
      path: '/metrics',
      async handle(exchange) {
        const { type, text } = await metrics();
        exchange.text(text, type);
      },
    },
  ];
}

/** The object in the body; an empty one where there is no body. */
async function objectOf(exchange: Exchange): Promise<Parameters> {
  const body = await exchange.body();
  const json = body.length === 0 ? {} : readJson(body, 'the body');
  if (isObject(json)) return json;
  throw invalid('the body is a JSON object');
}
