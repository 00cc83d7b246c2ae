import type { Part, RequestSpan } from '../service/request-span.js';
import type { RequestRecord } from './request-record.js';
import type { Attributes, SpanTree } from './tracing.js';

/** The most parts of a request that have spans of their own: a request may have thousands of runs. */
const MOST_PARTS = 500;

/** Reasons that are the client's: they make no failed span of a server. */
const OF_CLIENTS: readonly string[] = ['done', 'invalid', 'not-found', 'forbidden', 'cancelled', 'too-large'];

/** The part that runs a batch is named for what it is. The others have their own names. */
const NAMES: Partial<Record<Part, string>> = { gpu: 'run' };

/** The spans of a request, by the conventions of OpenTelemetry for its protocol. */
export function requestTree(record: RequestRecord): SpanTree {
  const { arrival, from, to, model, version, outcome, why, status, spans } = record;
  const isHttp = arrival.protocol === 'http';
  const protocol: Attributes = isHttp
    ? {
        'http.request.method': 'POST',
        'http.route': '/v2/models/{model}/infer',
        ...(status !== '' && { 'http.response.status_code': Number(status) }),
      }
    : {
        'rpc.system': 'grpc',
        'rpc.service': 'inference.GRPCInferenceService',
        'rpc.method': 'ModelInfer',
        'rpc.response.status_code': status,
      };
  return {
    kind: 'server',
    name: isHttp ? 'POST /v2/models/{model}/infer' : 'inference.GRPCInferenceService/ModelInfer',
    from,
    to,
    attributes: {
      ...protocol,
      'farlight.tenant': arrival.tenant,
      ...(model !== '' && { 'farlight.model': model }),
      ...(version !== '' && { 'farlight.version': version }),
      ...(outcome !== 'done' && { 'error.type': outcome }),
      ...(spans.length > MOST_PARTS && { 'farlight.spans_left_out': spans.length - MOST_PARTS }),
    },
    ...(!OF_CLIENTS.includes(outcome) && { error: why }),
    parts: partTrees(spans),
  };
}

/** The spans of the parts of a request. */
export function partTrees(spans: readonly RequestSpan[]): SpanTree[] {
  return spans.slice(0, MOST_PARTS).map(({ part, from, to, what, run, failed }) => ({
    name: `${NAMES[part] ?? part}${what === undefined ? '' : ` ${what}`}`,
    from,
    to,
    attributes: {
      'farlight.part': part,
      ...(what !== undefined && { 'farlight.step': what }),
      ...(run && {
        'farlight.run': run.id,
        'farlight.lane': run.lane,
        'farlight.batch.size': run.batch,
        'farlight.batch.items': run.items,
      }),
    },
    ...(failed !== undefined && { error: failed }),
    parts: [],
  }));
}
