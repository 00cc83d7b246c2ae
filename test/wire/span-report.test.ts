import { describe, expect, it } from 'vitest';
import { ProtocolError } from '#farlight/proto/errors.js';
import { ALL_SPANS, SPAN, SPAN_KINDS, type Span, spanMask } from '#farlight/proto/session/spans.js';
import { Reader } from '#farlight/proto/wire/reader.js';
import { readSpanReport, writeSpanReport } from '#farlight/proto/wire/span-report.js';
import { Writer } from '#farlight/proto/wire/writer.js';

const span: Span = {
  kind: SPAN.awaited,
  name: 'GPUBuffer.mapAsync',
  label: 'résultat',
  start: 1_763_790_000_123.25,
  end: 1_763_790_000_124.75,
  number: 70_000,
  bytes: 2 ** 40,
};

function read(report: { spans: Span[]; lost: number }) {
  const w = new Writer();
  writeSpanReport(w, report);
  const r = new Reader(w.content.slice());
  return { read: readSpanReport(r), done: r.done };
}

describe('spans on the wire', () => {
  it('spans arrive unchanged, with the number of lost ones', () => {
    const spans = Array.from({ length: SPAN_KINDS }, (_, kind) => ({ ...span, kind: kind as Span['kind'] }));
    expect(read({ spans, lost: 3 })).toEqual({ read: { spans, lost: 3 }, done: true });
  });

  it('spans of an unknown kind, without a time, or that end before they begin are refused', () => {
    for (const wrong of [
      { ...span, kind: SPAN_KINDS as never },
      { ...span, start: Number.NaN },
      { ...span, end: Number.POSITIVE_INFINITY },
      { ...span, end: span.start - 1 },
    ]) {
      expect(() => read({ spans: [wrong], lost: 0 })).toThrow(ProtocolError);
    }
  });

  it('a mask has a bit for each kind', () => {
    expect(spanMask()).toBe(0);
    expect(spanMask(...(Object.values(SPAN) as Span['kind'][]))).toBe(ALL_SPANS);
  });
});
