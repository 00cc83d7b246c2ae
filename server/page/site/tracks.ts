// A session's spans, sorted into the tracks of the timeline. Pure: no page, no clock.
import { SPAN } from '../../../proto/session/spans.js';
import type { SpansView } from '../../observatory/host-view.js';

export const TRACKS = [
  {
    key: 'program',
    title: 'Program and line',
    color: '--track-program',
    about: 'the host waits for the program',
  },
  { key: 'wire', title: 'Wire', color: '--track-wire', about: 'flushes that arrive, replies that leave' },
  { key: 'executor', title: 'Executor', color: '--track-executor', about: 'flushes that are executed' },
  { key: 'compile', title: 'Compiling', color: '--track-compile', about: 'shader modules and pipelines' },
  { key: 'gpu', title: 'GPU', color: '--track-gpu', about: 'busy with submitted work' },
  { key: 'wait', title: 'Waits', color: '--track-wait', about: 'the program awaits a reply' },
] as const;

export type TrackKey = (typeof TRACKS)[number]['key'];

/** A span of a track. Times are milliseconds since 1970, of the executor's clock. */
export interface TrackSpan {
  start: number;
  end: number;
  text: string;
  bytes?: number;
}

/** A track's spans between two times, in milliseconds. */
export interface TrackSummary {
  key: TrackKey;
  title: string;
  about: string;
  count: number;
  /** The total time with a span. */
  busy: number;
  longest: TrackSpan | undefined;
}

/** Beyond so many spans, drop the older half. */
const MOST_SPANS = 20_000;

/** The spans of one session by track, each track in the order of their ends. */
export class Tracks {
  readonly tracks = new Map<TrackKey, TrackSpan[]>(TRACKS.map(({ key }) => [key, []]));
  /** The end of the last span. */
  last = 0;
  /** How many spans the host has left out. */
  left = 0;
  #count = 0;
  /** When the host last sent replies, if no flush has arrived since. */
  #answered: number | undefined;

  add({ spans, left }: SpansView): void {
    this.left += left;
    for (const { kind, name, label, start, end, bytes } of spans) {
      this.last = Math.max(this.last, end);
      if (kind === SPAN.received) {
        if (this.#answered !== undefined && start > this.#answered) {
          this.#put('program', { start: this.#answered, end: start, text: 'the program and the line' });
        }
        this.#answered = undefined;
        this.#put('wire', { start, end, bytes, text: 'a flush arrived' });
      } else if (kind === SPAN.sent) {
        this.#answered = end;
        this.#put('wire', { start, end, bytes, text: 'replies left' });
      } else if (kind === SPAN.executed) {
        this.#put('executor', { start, end, bytes, text: 'a flush was executed' });
      } else if (kind === SPAN.compiled) {
        this.#put('compile', { start, end, text: labelled(name, label) });
      } else if (kind === SPAN.gpu) {
        this.#put('gpu', { start, end, text: 'the GPU was busy' });
      } else if (kind === SPAN.awaited) {
        this.#put('wait', { start, end, text: labelled(name, label) });
      }
    }
    if (this.#count > MOST_SPANS) this.#drop();
  }

  /** Sums up each track between two times. */
  summary(from: number, to: number): TrackSummary[] {
    return TRACKS.map(({ key, title, about }) => {
      const spans = this.#of(key).filter(({ start, end }) => end >= from && start <= to);
      let busy = 0;
      let until = from;
      let longest: TrackSpan | undefined;
      for (const span of spans.sort((a, b) => a.start - b.start)) {
        // Spans may overlap.
        const begin = Math.max(span.start, until);
        const end = Math.min(span.end, to);
        if (end > begin) {
          busy += end - begin;
          until = end;
        }
        if (!longest || length(span) > length(longest)) longest = span;
      }
      return { key, title, about, count: spans.length, busy, longest };
    });
  }

  /** The shortest span of a track at a time, or within `slack` milliseconds of it. */
  find(track: TrackKey, time: number, slack: number): TrackSpan | undefined {
    let found: TrackSpan | undefined;
    for (const span of this.#of(track)) {
      if (span.start - slack > time || span.end + slack < time) continue;
      if (!found || length(span) < length(found)) found = span;
    }
    return found;
  }

  #of(track: TrackKey): TrackSpan[] {
    return this.tracks.get(track) ?? [];
  }

  #put(track: TrackKey, span: TrackSpan): void {
    this.#of(track).push(span);
    this.#count += 1;
  }

  #drop(): void {
    const ends = TRACKS.flatMap(({ key }) => this.#of(key).map(({ end }) => end)).sort((a, b) => a - b);
    const from = ends[ends.length >> 1] ?? 0;
    this.#count = 0;
    for (const { key } of TRACKS) {
      const kept = this.#of(key).filter(({ end }) => end >= from);
      this.tracks.set(key, kept);
      this.#count += kept.length;
    }
  }
}

function length({ start, end }: TrackSpan): number {
  return end - start;
}

function labelled(name: string, label: string): string {
  return label ? `${name} "${label}"` : name;
}
