// What a session did, sorted into the lanes of the timeline. Pure: no page, no clock.
import { SPAN } from '../../../proto/activity.js';
import type { SpansView } from '../../observatory/host-view.js';

export const LANES = [
  {
    key: 'program',
    title: 'Program and line',
    color: '--lane-program',
    about: 'the host waits for the program',
  },
  { key: 'wire', title: 'Wire', color: '--lane-wire', about: 'batches that come in, replies that leave' },
  { key: 'executor', title: 'Executor', color: '--lane-executor', about: 'batches that are carried out' },
  { key: 'compile', title: 'Compiling', color: '--lane-compile', about: 'shader modules and pipelines' },
  { key: 'gpu', title: 'GPU', color: '--lane-gpu', about: 'busy with what was submitted' },
  { key: 'wait', title: 'Waits', color: '--lane-wait', about: 'the program awaits an answer' },
] as const;

export type LaneKey = (typeof LANES)[number]['key'];

/** Something in a lane. Times are milliseconds since 1970, of the executor's clock. */
export interface LaneSpan {
  start: number;
  end: number;
  text: string;
  bytes?: number;
}

/** What a lane has in a part of the time, in milliseconds. */
export interface LaneSummary {
  key: LaneKey;
  title: string;
  about: string;
  count: number;
  /** How long there was something in it. */
  busy: number;
  longest: LaneSpan | undefined;
}

/** Beyond so many spans the older half of the time is given up. */
const MOST_SPANS = 20_000;

/** The spans of one session, by lane, each lane in the order in which they ended. */
export class Lanes {
  readonly lanes = new Map<LaneKey, LaneSpan[]>(LANES.map(({ key }) => [key, []]));
  /** When the last thing ended that is known of. */
  last = 0;
  /** How many spans the host has left out. */
  left = 0;
  #count = 0;
  /** When the host last answered, where nothing has come since. */
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
        this.#put('wire', { start, end, bytes, text: 'a batch came in' });
      } else if (kind === SPAN.sent) {
        this.#answered = end;
        this.#put('wire', { start, end, bytes, text: 'replies left' });
      } else if (kind === SPAN.executed) {
        this.#put('executor', { start, end, bytes, text: 'a batch was carried out' });
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

  /** What each lane has between two times. */
  summary(from: number, to: number): LaneSummary[] {
    return LANES.map(({ key, title, about }) => {
      const spans = this.#of(key).filter(({ start, end }) => end >= from && start <= to);
      let busy = 0;
      let until = from;
      let longest: LaneSpan | undefined;
      for (const span of spans.sort((a, b) => a.start - b.start)) {
        // Spans may lie over each other.
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

  /** The span of a lane at a time, the shortest where several are; what is `slack` milliseconds beside it counts. */
  find(lane: LaneKey, time: number, slack: number): LaneSpan | undefined {
    let found: LaneSpan | undefined;
    for (const span of this.#of(lane)) {
      if (span.start - slack > time || span.end + slack < time) continue;
      if (!found || length(span) < length(found)) found = span;
    }
    return found;
  }

  #of(lane: LaneKey): LaneSpan[] {
    return this.lanes.get(lane) ?? [];
  }

  #put(lane: LaneKey, span: LaneSpan): void {
    this.#of(lane).push(span);
    this.#count += 1;
  }

  #drop(): void {
    const ends = LANES.flatMap(({ key }) => this.#of(key).map(({ end }) => end)).sort((a, b) => a - b);
    const from = ends[ends.length >> 1] ?? 0;
    this.#count = 0;
    for (const { key } of LANES) {
      const kept = this.#of(key).filter(({ end }) => end >= from);
      this.lanes.set(key, kept);
      this.#count += kept.length;
    }
  }
}

function length({ start, end }: LaneSpan): number {
  return end - start;
}

function labelled(name: string, label: string): string {
  return label ? `${name} "${label}"` : name;
}
