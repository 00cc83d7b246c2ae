import type { RequestSpan } from '../../infer/service/request-span.js';
import { partTrees } from '../../infer/statistics/request-spans.js';
import type { SpanTree } from '../../infer/statistics/tracing.js';

/** A stretch of a record's time: in a step, or in a sink. Times are milliseconds of the process's steady clock. */
export interface RecordSpan {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** The version of the application that the record passed through. */
  readonly version?: string;
  readonly error?: string;
  /** Of a model, the stretches of its time. */
  readonly spans: readonly RequestSpan[];
}

export interface RecordFacts {
  readonly application: string;
  readonly source: string;
  readonly offset: number;
  readonly key: string;
  readonly from: number;
  readonly to: number;
  readonly spans: readonly RecordSpan[];
}

/** The spans of a record: one for its way through the application, and below it one for each step and sink. */
export function recordTree({ application, source, offset, key, from, to, spans }: RecordFacts): SpanTree {
  return {
    kind: 'consumer',
    name: `record of ${source}`,
    from,
    to,
    attributes: {
      'farlight.application': application,
      'farlight.source': source,
      'farlight.offset': offset,
      'farlight.key': key,
    },
    parts: spans.map(({ name, from, to, version, error, spans }) => ({
      name,
      from,
      to,
      attributes: version === undefined ? {} : { 'farlight.application.version': version },
      ...(error !== undefined && { error }),
      parts: partTrees(spans),
    })),
  };
}
