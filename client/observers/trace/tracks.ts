import type { TraceFile } from './trace-file.js';

/** A row of the picture: its slices follow one another, or lie within one another. */
export interface Track {
  readonly pid: number;
  readonly tid: number;
}

/** Details that are shown when a slice is clicked. */
export type Details = Readonly<Record<string, string | number | boolean>>;

/** The most tracks of a group for slices that overlap. */
const MOST_PARALLEL = 64;

/**
 * Writes events. Times in milliseconds become microseconds after `zero`, with steps of a nanosecond.
 *
 * Slices are complete events, written when they end. So in each track they end one after the other.
 */
export class Tracks {
  readonly #file: TraceFile;
  readonly #zero: number;

  constructor(file: TraceFile, zero: number) {
    this.#file = file;
    this.#zero = zero;
  }

  /** Names a group of tracks; `order` is its place from the top. */
  process(pid: number, name: string, order: number): void {
    this.#metadata('process_name', pid, 0, { name });
    this.#metadata('process_sort_index', pid, 0, { sort_index: order });
  }

  track(pid: number, tid: number, name: string): Track {
    this.#metadata('thread_name', pid, tid, { name });
    this.#metadata('thread_sort_index', pid, tid, { sort_index: tid });
    return { pid, tid };
  }

  slice({ pid, tid }: Track, name: string, start: number, end: number, args?: Details): void {
    const ts = this.#time(start);
    const dur = rounded(this.#time(Math.max(start, end)) - ts);
    this.#file.add({ name, ph: 'X', cat: 'farlight', pid, tid, ts, dur, args });
  }

  /** An arrow from a slice to the beginning of another; `step` tells which of the two ends this is. */
  arrow({ pid, tid }: Track, id: number, step: 'from' | 'to', time: number): void {
    const ts = this.#time(time);
    const end = step === 'from' ? { ph: 's' } : { ph: 'f', bp: 'e' };
    this.#file.add({ name: 'flush', cat: 'farlight', id, pid, tid, ts, ...end });
  }

  counter(pid: number, name: string, time: number, values: Readonly<Record<string, number>>): void {
    this.#file.add({ name, ph: 'C', pid, tid: 0, ts: this.#time(time), args: values });
  }

  #metadata(name: string, pid: number, tid: number, args: object): void {
    this.#file.add({ name, ph: 'M', pid, tid, ts: 0, args });
  }

  #time(ms: number): number {
    return Math.max(0, rounded((ms - this.#zero) * 1000));
  }
}

/** To thousandths: removes the rounding errors of sums. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/**
 * A track for slices that follow one another. A slice that would overlap because of clocks is moved to the
 * end of the one before.
 */
export class Sequence {
  readonly #tracks: Tracks;
  readonly track: Track;
  #end = Number.NEGATIVE_INFINITY;

  constructor(tracks: Tracks, track: Track) {
    this.#tracks = tracks;
    this.track = track;
  }

  /** Returns where the slice begins in the picture. */
  slice(name: string, start: number, end: number, args?: Details): number {
    const from = Math.max(start, this.#end);
    this.#end = Math.max(from, end);
    this.#tracks.slice(this.track, name, from, this.#end, args);
    return from;
  }
}

/** Tracks for slices that overlap: each goes into the first track that is free at its start. */
export class ParallelTracks {
  readonly #tracks: Tracks;
  readonly #pid: number;
  readonly #tid: number;
  readonly #name: string;
  readonly #rows: { track: Track; end: number }[] = [];

  /** The tracks have the numbers from `tid` on. */
  constructor(tracks: Tracks, pid: number, tid: number, name: string) {
    this.#tracks = tracks;
    this.#pid = pid;
    this.#tid = tid;
    this.#name = name;
  }

  /** Returns the track. If too many slices overlap, it draws nothing and returns undefined. */
  slice(name: string, start: number, end: number, args?: Details): Track | undefined {
    const row = this.#rows.find((each) => each.end <= start) ?? this.#add();
    if (!row) return undefined;
    row.end = Math.max(start, end);
    this.#tracks.slice(row.track, name, start, row.end, args);
    return row.track;
  }

  #add(): { track: Track; end: number } | undefined {
    const index = this.#rows.length;
    if (index === MOST_PARALLEL) return undefined;
    const row = {
      track: this.#tracks.track(
        this.#pid,
        this.#tid + index,
        index === 0 ? this.#name : `${this.#name} ${index + 1}`,
      ),
      end: Number.NEGATIVE_INFINITY,
    };
    this.#rows.push(row);
    return row;
  }
}
