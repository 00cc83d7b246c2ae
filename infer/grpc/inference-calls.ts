import type {
  Metadata,
  ServerDuplexStream,
  ServerUnaryCall,
  StatusObject,
  sendUnaryData,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { grpc } from '../../link/grpc/grpc.js';
import { wallClock } from '../../link/machine/clock.js';
import { native } from '../../link/machine/globals.js';
import type { Quotas, QuotaUse } from '../door/quotas.js';
import {
  configurationAnswer,
  indexAnswer,
  metadataAnswer,
  type ServerMetadata,
  statisticsAnswer,
} from '../protocol/answers.js';
import { failureOf, type GrpcCode } from '../protocol/failures.js';
import { type Client, loadModel, unloadModel } from '../protocol/repository.js';
import { answer, type Parameters, traceparentOf } from '../protocol/request.js';
import { traceSettings } from '../protocol/trace-settings.js';
import type { ObservedRequest, RequestObserver } from '../service/request-observer.js';
import { InferenceError, type InferenceResult, type InferenceService } from '../service/service.js';
import type { StreamAnswer } from './infer-answer.js';
import type { ReadRequest } from './infer-request.js';

export interface CallsOptions {
  readonly service: InferenceService;
  readonly metadata: ServerMetadata;
  /** Hears of each request for inference. */
  readonly observer: RequestObserver;
  readonly quotas: Quotas;
  /** The client of a call, by the call's metadata, as it was when the call began. */
  clientOf(metadata: Metadata): Client;
  /** The client as it is now: a token may be revoked while a call goes on. @throws FarlightError UNAUTHORIZED */
  clientNow(metadata: Metadata): Client;
  /** A bug, for the log. */
  onError(error: unknown): void;
  /** A call was answered with this code. */
  onAnswer(code: GrpcCode | 'OK'): void;
}

/** The most requests of one stream that run at a time. */
const MOST_OF_STREAM = 16;

interface Named {
  readonly name: string;
  readonly version: string;
}

interface RepositoryRequest {
  readonly model_name: string;
  readonly parameters: Readonly<
    Record<string, Readonly<Record<string, unknown>> & { parameter_choice?: string }>
  >;
}

interface TraceSettingRequest {
  readonly model_name: string;
  readonly settings: Readonly<Record<string, { readonly value: readonly string[] }>>;
}

/** The methods of the service. */
export function inferenceCalls(options: CallsOptions): UntypedServiceImplementation {
  const { service, metadata, clientOf } = options;
  const unary = <Request>(act: (request: Request, client: Client) => unknown) => {
    return (call: ServerUnaryCall<Request, unknown>, reply: sendUnaryData<unknown>) => {
      void settle(async () => act(call.request, clientOf(call.metadata)), reply, options);
    };
  };
  return {
    ServerLive: unary(() => ({ live: true })),
    ServerReady: unary(() => ({ ready: service.ready })),
    ModelReady: unary(({ name, version }: Named) => ({ ready: isReady(service, name, version) })),
    ServerMetadata: unary(() => metadata),
    ModelMetadata: unary(({ name, version }: Named) =>
      metadataAnswer(service.metadata(name, version || undefined)),
    ),
    ModelConfig: unary(({ name, version }: Named) => ({
      config: configurationAnswer(service.configuration(name, version || undefined)),
    })),
    ModelStatistics: unary(({ name, version }: Named) =>
      statisticsAnswer(service.statistics(name || undefined, version || undefined)),
    ),
    RepositoryIndex: unary(({ ready }: { ready: boolean }) => ({ models: indexAnswer(service, ready) })),
    RepositoryModelLoad: unary(async ({ model_name, parameters }: RepositoryRequest, client) => {
      await loadModel(service, client, model_name, valuesOf(parameters));
      return {};
    }),
    RepositoryModelUnload: unary(async ({ model_name, parameters }: RepositoryRequest, client) => {
      await unloadModel(service, client, model_name, valuesOf(parameters));
      return {};
    }),
    TraceSetting: unary(({ model_name, settings }: TraceSettingRequest) => {
      if (model_name !== '') service.metadata(model_name);
      const changes = Object.entries(settings).map(([name, { value }]) => [name, value]);
      const values = Object.entries(traceSettings(Object.fromEntries(changes)));
      return {
        settings: Object.fromEntries(values.map(([name, value]) => [name, { value: [value].flat() }])),
      };
    }),
    ModelInfer(call: ServerUnaryCall<ReadRequest, unknown>, reply: sendUnaryData<unknown>) {
      const client = clientOf(call.metadata);
      const seen = beginOf(call, client, options);
      const answered = settle(() => infer(call, call.request, options, { client, seen }), reply, options);
      void answered.then((code) => seen.end(code));
    },
    ModelStreamInfer: (call: ServerDuplexStream<ReadRequest, StreamAnswer>) => streamInfer(call, options),
  };
}

/** A call as far as both kinds have it. */
type AnyCall = ServerUnaryCall<ReadRequest, unknown> | ServerDuplexStream<ReadRequest, StreamAnswer>;

function beginOf({ metadata }: AnyCall, { tenant }: Client, { observer }: CallsOptions): ObservedRequest {
  return observer.begin({
    protocol: 'grpc',
    tenant,
    traceparent: traceparentOf(metadata.get('traceparent')[0]),
  });
}

/** @throws InferenceError (rejects) */
async function infer(
  call: AnyCall,
  { request, error, bytes }: ReadRequest,
  { service, quotas }: CallsOptions,
  { client, seen }: { client: Client; seen: ObservedRequest },
): Promise<InferenceResult> {
  const deadline = Number(call.getDeadline());
  const gone = new native.AbortController();
  const forget = onCancelled(call, gone);
  let quota: QuotaUse | undefined;
  try {
    if (!request) throw error;
    quota = quotas.begin(client.tenant);
    quota.take(bytes);
    const result = await answer(service, request, {
      tenant: client.tenant,
      share: quotas.shareOf(client.tenant),
      deadline: Number.isFinite(deadline) ? Math.max(0, deadline - wallClock()) : undefined,
      signal: gone.signal,
      seen,
    });
    seen.done(result.version);
    return result;
  } catch (error) {
    seen.failed(error);
    throw error;
  } finally {
    quota?.end();
    forget();
  }
}

/** The requests of each call that are not answered yet: a stream has several. */
const openRequests = new WeakMap<AnyCall, Set<AbortController>>();

/**
 * Aborts a request when the client has cancelled the call, or its deadline is over.
 *
 * @returns a function that forgets the request.
 */
function onCancelled(call: AnyCall, request: AbortController): () => void {
  let requests = openRequests.get(call);
  if (!requests) {
    const all = new Set<AbortController>();
    requests = all;
    openRequests.set(call, all);
    call.once('cancelled', () => {
      for (const each of all) each.abort();
    });
  }
  requests.add(request);
  if (call.cancelled) request.abort();
  const known = requests;
  return () => known.delete(request);
}

/** Answers a call. Resolves to the code that it was answered with. */
async function settle(
  act: () => Promise<unknown>,
  reply: sendUnaryData<unknown>,
  { onError, onAnswer }: CallsOptions,
): Promise<GrpcCode | 'OK'> {
  try {
    const value = await act();
    onAnswer('OK');
    reply(null, value);
    return 'OK';
  } catch (error) {
    const { grpc: code, sentence, retryAfter } = failureOf(error, onError);
    onAnswer(code);
    reply(statusOf(code, sentence, retryAfter));
    return code;
  }
}

function statusOf(code: GrpcCode, details: string, retryAfter: number | undefined): Partial<StatusObject> {
  const { status, Metadata } = grpc();
  if (retryAfter === undefined) return { code: status[code], details };
  const metadata = new Metadata();
  // Clients that repeat calls by themselves wait for so long.
  metadata.set('grpc-retry-pushback-ms', `${retryAfter * 1000}`);
  return { code: status[code], details, metadata };
}

/**
 * Answers the requests of a stream in their order. Some of them run at a time. A client that does not read its answers
 * has no more requests read.
 */
function streamInfer(call: ServerDuplexStream<ReadRequest, StreamAnswer>, options: CallsOptions): void {
  let open = 0;
  let full = false;
  let written: Promise<void> = Promise.resolve();
  const steer = () => {
    if (open >= MOST_OF_STREAM || full) call.pause();
    else call.resume();
  };
  const write = (message: StreamAnswer) => {
    if (call.cancelled || call.destroyed) return;
    if (call.write(message) || full) return;
    full = true;
    call.once('drain', () => {
      full = false;
      steer();
    });
  };
  call.on('data', (read: ReadRequest) => {
    open += 1;
    steer();
    const result = streamAnswer(call, read, options);
    // `result` never rejects, so neither does the chain.
    written = written.then(async () => {
      write(await result);
      open -= 1;
      steer();
    });
  });
  call.on('end', () => void written.then(() => call.end()));
  call.on('error', () => {});
}

async function streamAnswer(
  call: ServerDuplexStream<ReadRequest, StreamAnswer>,
  read: ReadRequest,
  options: CallsOptions,
): Promise<StreamAnswer> {
  let seen: ObservedRequest | undefined;
  try {
    // A token may be revoked while a stream goes on.
    const client = options.clientNow(call.metadata);
    seen = beginOf(call, client, options);
    const result = await infer(call, read, options, { client, seen });
    options.onAnswer('OK');
    seen.end('OK');
    return { result };
  } catch (error) {
    const { grpc: code, sentence } = failureOf(error, options.onError);
    options.onAnswer(code);
    seen?.end(code);
    return { error: sentence, id: read.id };
  }
}

function isReady(service: InferenceService, name: string, version: string): boolean {
  try {
    service.metadata(name, version || undefined);
    return true;
  } catch (error) {
    if (error instanceof InferenceError && error.code === 'unavailable') return false;
    throw error;
  }
}

function valuesOf(parameters: RepositoryRequest['parameters']): Parameters {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [name, value[value.parameter_choice ?? '']]),
  );
}
