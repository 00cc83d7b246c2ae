import type { ObservedRequest } from '../service/request-observer.js';
import {
  InferenceError,
  type InferenceRequest,
  type InferenceResult,
  type InferenceService,
  invalid,
} from '../service/service.js';
import type { Tensor } from '../service/tensor.js';
import { classified } from './classification.js';
import { quoted } from './tensor-coding.js';

/** A parameter of a request or of an output, from JSON or from gRPC. */
export type Parameters = Readonly<Record<string, unknown>>;

/** Whether a value of JSON is an object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The parameters in a JSON object, if it has any. @throws InferenceError invalid */
export function parametersOf({ parameters = {} }: Parameters): Parameters {
  if (isObject(parameters)) return parameters;
  throw invalid('"parameters" is an object');
}

/** @throws InferenceError invalid where the parameters of a tensor say that it is in shared memory. */
export function noSharedMemory(parameters: Parameters): void {
  if (parameters.shared_memory_region !== undefined) {
    throw invalid('shared memory is not served: send the tensor in the request');
  }
}

/** An output that a request asks for. */
export interface WantedOutput {
  readonly name: string;
  /** How many of the greatest elements of each item to answer with, in place of the tensor. */
  readonly classification: number | undefined;
}

/** A request as both protocols have it. */
export interface ProtocolRequest {
  readonly model: string;
  readonly version: string | undefined;
  readonly id: string | undefined;
  readonly parameters: Parameters;
  readonly inputs: readonly Tensor[];
  /** Empty: all outputs. */
  readonly outputs: readonly WantedOutput[];
}

/** The facts of a request that are not in its message. */
export interface RequestContext {
  readonly tenant: string;
  /** The tenant's weight among tenants. */
  readonly share: number;
  /** Milliseconds until the client gives up; undefined where it does not say. */
  readonly deadline: number | undefined;
  readonly signal: AbortSignal;
  /** Hears what becomes of it. */
  readonly seen: ObservedRequest;
}

/** W3C Trace Context, version 00; later versions may say more behind it. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/;
const MOST_CLASSES = 1000;

/**
 * Asks the service for a result, and makes classes of the outputs that are wanted as such.
 *
 * @throws InferenceError (rejects)
 */
export async function answer(
  service: InferenceService,
  request: ProtocolRequest,
  { tenant, share, deadline, signal, seen }: RequestContext,
): Promise<InferenceResult> {
  const { model, version, id, inputs, outputs, parameters } = request;
  seen.asked(model, version);
  onlyOnce('input', inputs);
  onlyOnce('output', outputs);
  if (parameters.sequence_id !== undefined && parameters.sequence_id !== 0 && parameters.sequence_id !== '') {
    throw invalid('sequences are not served: each request stands by itself; leave sequence_id out');
  }
  if (deadline === 0) throw new InferenceError('expired', 'the deadline of the request is over');
  const priority = counted('priority', parameters.priority);
  const microseconds = counted('timeout', parameters.timeout);
  const timeouts = [
    ...(microseconds ? [microseconds / 1000] : []),
    ...(deadline === undefined ? [] : [deadline]),
  ];
  const asked: InferenceRequest = {
    model,
    ...(version && { version }),
    ...(id && { id }),
    inputs,
    ...(outputs.length > 0 && { outputs: outputs.map(({ name }) => name) }),
    ...(priority && { priority }),
    ...(timeouts.length > 0 && { timeout: Math.min(...timeouts) }),
    tenant,
    share,
    onSpan: seen.onSpan,
  };
  const result = await service.infer(asked, signal);
  if (!outputs.some(({ classification }) => classification)) return result;
  const { maxBatchSize, labels } = service.configuration(model, version);
  const classes = new Map(outputs.map(({ name, classification }) => [name, classification]));
  return {
    ...result,
    outputs: result.outputs.map((output) => {
      const count = classes.get(output.name);
      return count
        ? classified(output, { count, batched: maxBatchSize > 0, labels: labels?.get(output.name) })
        : output;
    }),
  };
}

/** @throws InferenceError invalid */
export function wantedOutput(name: unknown, { classification }: Parameters): WantedOutput {
  if (typeof name !== 'string' || name === '') throw invalid('each output needs a name');
  const classes = counted('classification', classification);
  if (classes !== undefined && classes > MOST_CLASSES) {
    throw invalid(`"classification" is ${classes}; at most ${MOST_CLASSES} are possible`);
  }
  return { name, classification: classes };
}

/** The trace that a request belongs to; undefined where the text is no `traceparent`. */
export function traceparentOf(text: unknown): string | undefined {
  return typeof text === 'string' && text.length < 256 && TRACEPARENT.test(text) ? text : undefined;
}

/** A whole number of 0 or more. @throws InferenceError invalid */
function counted(name: string, value: unknown): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw invalid(`"${name}" is a whole number of 0 or more, and not ${quoted(value)}`);
}

function onlyOnce(kind: string, named: readonly { readonly name: string }[]): void {
  const names = new Set<string>();
  for (const { name } of named) {
    if (names.has(name)) throw invalid(`${kind} ${quoted(name)} is there twice`);
    names.add(name);
  }
}
