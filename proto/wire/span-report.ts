import { ProtocolError } from '../errors.js';
import { SPAN_KINDS, type Span, type SpanKind } from '../session/spans.js';
import { type Reader, readSequence } from './reader.js';
import type { Writer } from './writer.js';

/** Spans of a host's work, as it reports them to a client. */
export interface SpanReport {
  spans: Span[];
  /** How many spans were left out since the last report, because the line was too slow for them. */
  lost: number;
}

export function writeSpanReport(w: Writer, { spans, lost }: SpanReport): void {
  w.u64(lost);
  w.u32(spans.length);
  for (const { kind, name, label, start, end, number, bytes } of spans) {
    w.u32(kind);
    w.string(name);
    w.string(label);
    w.f64(start);
    w.f64(end - start);
    w.u64(number);
    w.u64(bytes);
  }
}

/** @throws ProtocolError if the bytes are no report. */
export function readSpanReport(r: Reader): SpanReport {
  const lost = r.u64();
  return { lost, spans: readSequence(r, () => readSpan(r)) };
}

function readSpan(r: Reader): Span {
  const kind = r.index(SPAN_KINDS) as SpanKind;
  const name = r.string();
  const label = r.string();
  const start = r.f64();
  const took = r.f64();
  if (!Number.isFinite(start) || !(took >= 0) || !Number.isFinite(took)) {
    throw new ProtocolError(`a span from ${start} of ${took} milliseconds`);
  }
  return { kind, name, label, start, end: start + took, number: r.u64(), bytes: r.u64() };
}
