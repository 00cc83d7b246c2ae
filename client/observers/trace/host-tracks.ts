import { SPAN, type Span } from '../../../proto/session/spans.js';
import type { ClockEstimate } from './clock-estimate.js';
import { type Details, ParallelTracks, Sequence, type Track, type Tracks } from './tracks.js';

/** A flush or frame that passed here. It is kept by its number until the host tells when it passed there. */
export interface Passed {
  readonly time: number;
  readonly bytes: number;
  readonly frames: number;
}

/** How many of them wait for the host's report. The oldest is dropped. */
const MOST_PASSED = 4096;

/** Flushes or frames that passed here, by number. */
export class PassedByNumber {
  readonly #passed = new Map<number, Passed>();

  set(number: number, passed: Passed): void {
    this.#passed.set(number, passed);
    if (this.#passed.size > MOST_PASSED) this.#passed.delete(this.#passed.keys().next().value as number);
  }

  get(number: number): Passed | undefined {
    return this.#passed.get(number);
  }

  take(number: number): Passed | undefined {
    const passed = this.#passed.get(number);
    this.#passed.delete(number);
    return passed;
  }
}

export interface HostTracksOptions {
  tracks: Tracks;
  clock: ClockEstimate;
  /** The track groups of the wire and of the host. */
  wirePid: number;
  hostPid: number;
  up: PassedByNumber;
  down: PassedByNumber;
}

/**
 * Draws what the host reports, by the client's clock: how long packets took, and what the executor and its
 * GPU did.
 */
export class HostTracks {
  readonly #options: HostTracksOptions;
  readonly #up: ParallelTracks;
  readonly #down: ParallelTracks;
  readonly #executor: Sequence;
  readonly #gpu: Sequence;
  readonly #awaited: ParallelTracks;
  readonly #compiled: ParallelTracks;
  /** Where the latest flush is drawn. */
  #came: { flush: number; time: number; track: Track } | undefined;
  #arrows: number;
  #leftOut = 0;

  constructor(options: HostTracksOptions) {
    this.#options = options;
    const { tracks, wirePid, hostPid } = options;
    this.#up = new ParallelTracks(tracks, wirePid, 1, 'up');
    this.#down = new ParallelTracks(tracks, wirePid, 101, 'down');
    this.#executor = new Sequence(tracks, tracks.track(hostPid, 1, 'executor'));
    this.#gpu = new Sequence(tracks, tracks.track(hostPid, 2, 'GPU'));
    this.#compiled = new ParallelTracks(tracks, hostPid, 101, 'compilations');
    this.#awaited = new ParallelTracks(tracks, hostPid, 201, 'awaited commands');
    // Each session has its own numbers for arrows.
    this.#arrows = hostPid * 1e9;
  }

  /** Slices that found no track. */
  get leftOut(): number {
    return this.#leftOut;
  }

  /** Draws a span. It is `now`. */
  draw(span: Span, now: number): void {
    const start = this.#options.clock.toClient(span.start, now);
    const end = start + span.end - span.start;
    const { name, label, number, bytes } = span;
    const details: Details = { ...(label && { label }) };
    if (span.kind === SPAN.received) this.#received(number, end);
    else if (span.kind === SPAN.sent) this.#sent(number, start, bytes);
    else if (span.kind === SPAN.executed) this.#executed(number, start, end, bytes);
    else if (span.kind === SPAN.gpu) this.#gpu.slice('busy', start, end);
    else if (span.kind === SPAN.compiled)
      this.#slice(this.#compiled, named(name, label), start, end, details);
    else if (span.kind === SPAN.awaited) this.#slice(this.#awaited, name, start, end, details);
  }

  #received(flush: number, at: number): void {
    const passed = this.#options.up.take(flush);
    if (!passed) return;
    const { time, bytes, frames } = passed;
    const track = this.#slice(this.#up, `flush ${flush}`, time, Math.max(time, at), { bytes, frames });
    this.#came = track && { flush, time, track };
  }

  #sent(frame: number, at: number, bytes: number): void {
    const passed = this.#options.down.take(frame);
    if (passed) this.#slice(this.#down, `frame ${frame}`, Math.min(at, passed.time), passed.time, { bytes });
  }

  #executed(flush: number, start: number, end: number, bytes: number): void {
    const { tracks } = this.#options;
    const at = this.#executor.slice(`flush ${flush}`, start, end, { bytes });
    const came = this.#came;
    // By the estimated clocks, a flush may run before it was sent.
    if (came?.flush !== flush || at < came.time) return;
    this.#arrows += 1;
    tracks.arrow(came.track, this.#arrows, 'from', came.time);
    tracks.arrow(this.#executor.track, this.#arrows, 'to', at);
  }

  #slice(
    tracks: ParallelTracks,
    name: string,
    start: number,
    end: number,
    details: Details,
  ): Track | undefined {
    const track = tracks.slice(name, start, end, details);
    if (!track) this.#leftOut += 1;
    return track;
  }
}

function named(name: string, label: string): string {
  return label ? `${name} '${label}'` : name;
}
