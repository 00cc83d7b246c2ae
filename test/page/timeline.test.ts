import { describe, expect, it } from 'vitest';
import { SPAN, type Span, type SpanKind } from '#farlight/proto/session/spans.js';
import { TimelineView, ticks } from '#farlight/server/page/site/timeline-view.js';
import { TRACKS, Tracks } from '#farlight/server/page/site/tracks.js';

const span = (kind: SpanKind, start: number, end: number, name = '', label = ''): Span => ({
  kind,
  name,
  label,
  start,
  end,
  number: 0,
  bytes: 0,
});

function tracksOf(...spans: Span[]): Tracks {
  const tracks = new Tracks();
  tracks.add({ spans, left: 0 });
  return tracks;
}

const textsOf = (tracks: Tracks) =>
  Object.fromEntries(TRACKS.map(({ key }) => [key, tracks.tracks.get(key)?.map(({ text }) => text)]));

describe('the tracks of a timeline', () => {
  it('hold one kind of span each, with its name', () => {
    const tracks = tracksOf(
      span(SPAN.received, 0, 1),
      span(SPAN.compiled, 1, 2, 'GPUComputePipeline', 'matmul'),
      span(SPAN.executed, 1, 3),
      span(SPAN.gpu, 3, 5),
      span(SPAN.sent, 6, 6),
      span(SPAN.awaited, 2, 6, 'GPUBuffer.mapAsync'),
    );
    expect(textsOf(tracks)).toEqual({
      program: [],
      wire: ['a flush arrived', 'replies left'],
      executor: ['a flush was executed'],
      compile: ['GPUComputePipeline "matmul"'],
      gpu: ['the GPU was busy'],
      wait: ['GPUBuffer.mapAsync'],
    });
    expect(tracks.last).toBe(6);
  });

  it('count the time from a reply to the next flush for the program', () => {
    const tracks = tracksOf(
      span(SPAN.sent, 10, 10),
      span(SPAN.received, 25, 26),
      span(SPAN.received, 30, 31),
      span(SPAN.sent, 40, 40),
      span(SPAN.sent, 41, 41),
      span(SPAN.received, 45, 46),
    );
    expect(tracks.tracks.get('program')?.map(({ start, end }) => [start, end])).toEqual([
      [10, 25],
      [41, 45],
    ]);
  });

  it('are summed up without counting overlaps twice, or spans outside the view', () => {
    const tracks = tracksOf(
      span(SPAN.awaited, 0, 20, 'a'),
      span(SPAN.awaited, 10, 30, 'b'),
      span(SPAN.awaited, 15, 18, 'c'),
      span(SPAN.awaited, 90, 200, 'd'),
    );
    const wait = tracks.summary(5, 100).find(({ key }) => key === 'wait');
    expect(wait).toMatchObject({ count: 4, busy: 35, longest: { text: 'd' } });
    expect(tracks.summary(40, 50).find(({ key }) => key === 'wait')).toMatchObject({ count: 0, busy: 0 });
  });

  it('find the shortest span under the pointer', () => {
    const tracks = tracksOf(span(SPAN.awaited, 0, 100, 'long'), span(SPAN.awaited, 40, 50, 'short'));
    expect(tracks.find('wait', 45, 0)?.text).toBe('short');
    expect(tracks.find('wait', 38, 3)?.text).toBe('short');
    expect(tracks.find('wait', 38, 1)?.text).toBe('long');
    expect(tracks.find('gpu', 45, 0)).toBeUndefined();
  });

  it('hold a bounded number of spans, and drop the oldest', () => {
    const tracks = new Tracks();
    for (let time = 0; time < 50_000; time += 1)
      tracks.add({ spans: [span(SPAN.executed, time, time + 0.5)], left: 0 });
    const kept = tracks.tracks.get('executor') ?? [];
    expect(kept.length).toBeLessThanOrEqual(20_000);
    expect(kept.length).toBeGreaterThan(5000);
    expect(kept.at(-1)?.start).toBe(49_999);
  });
});

describe('the view of a timeline', () => {
  it('follows the newest spans, even when zoomed', () => {
    const view = new TimelineView();
    view.now = 10_000;
    view.zoom(2);
    expect([view.from, view.to, view.live]).toEqual([7500, 10_000, true]);
    view.now = 11_000;
    expect(view.to).toBe(11_000);
  });

  it('keeps the time under the pointer in place while it zooms', () => {
    const view = new TimelineView();
    view.now = 10_000;
    view.zoom(5, 0.25);
    expect(view.from + 0.25 * view.span).toBeCloseTo(6250);
    expect([view.span, view.live]).toEqual([1000, false]);
  });

  it('moves back and forth, and follows again at the end', () => {
    const view = new TimelineView();
    view.now = 10_000;
    view.pan(-0.5);
    expect([view.from, view.to]).toEqual([2500, 7500]);
    view.now = 20_000;
    expect(view.to).toBe(7500);
    view.pan(10);
    expect([view.to, view.live]).toEqual([20_000, true]);
  });

  it('shows between half a millisecond and two minutes', () => {
    const view = new TimelineView();
    view.zoom(1e9);
    expect(view.span).toBe(0.5);
    view.zoom(1e-9);
    expect(view.span).toBe(120_000);
  });

  it('has a scale of round times', () => {
    expect(ticks(-5000, 0, 5)).toEqual([-5000, -4000, -3000, -2000, -1000, 0]);
    expect(ticks(-7, 0, 4)).toEqual([-6, -4, -2, 0]);
  });
});
