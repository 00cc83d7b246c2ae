import { OPERATIONS } from '../../../proto/gen/operations.js';
import type { Welcome } from '../../../proto/session/handshake.js';
import { ALL_SPANS, SPAN, type Span } from '../../../proto/session/spans.js';
import { resourceOf } from '../../../proto/webidl/resource.js';
import { FRAME } from '../../../proto/wire/flush.js';
import type { SpanReport } from '../../../proto/wire/span-report.js';
import type { SentFlush, SessionObserver, Wait } from '../../session/observer.js';
import type { Session } from '../../session/session.js';
import type { LinkObserver } from '../observed-transport.js';
import { ClockEstimate } from './clock-estimate.js';
import { HostTracks, PassedByNumber } from './host-tracks.js';
import type { ProgramTracks } from './program-tracks.js';
import type { Tracks } from './tracks.js';

/** How often the host is asked for its time at first, one question after the other. */
const FIRST_SAMPLES = 8;
/** After that, how often it is asked while it reports anything, in milliseconds. */
const SAMPLE_MS = 1000;
/** How many spans wait until the clocks are known, and for how long, in milliseconds. */
const MOST_WAITING = 4096;
const WAITING_MS = 1000;

export interface SessionTraceOptions {
  tracks: Tracks;
  program: ProgramTracks;
  /** The track groups of this session's wire and host. */
  wirePid: number;
  hostPid: number;
  /** Which session of the program this is; empty for the first. */
  title: string;
  /** Milliseconds since 1970, by a clock that never goes back. */
  now(): number;
}

/** Draws one session: what the program does with it, the packets on its link, and the host's reports. */
export class SessionTrace implements SessionObserver, LinkObserver {
  readonly #options: SessionTraceOptions;
  readonly #clock = new ClockEstimate();
  readonly #up = new PassedByNumber();
  readonly #down = new PassedByNumber();
  readonly #host: HostTracks;
  #session: Session | undefined;
  #welcome: Welcome | undefined;
  #welcomedAt = 0;
  /** The number of flushes sent, and of frames received. */
  #flushes = 0;
  #frames = 0;
  /** The flush that is being sent. */
  #sending: { time: number; bytes: number; frames: number } | undefined;
  #bytes = { up: 0, down: 0 };
  /** When the current frame arrived. */
  #cameAt = 0;
  /** When the host was asked for its time, by the number of the question. */
  readonly #asked = new Map<number, number>();
  #question = 0;
  #samples = 0;
  #askedAt = 0;
  /** The host's spans from before the clocks were known; undefined when they are known. */
  #waiting: Span[] | undefined = [];
  #lost = 0;

  constructor(options: SessionTraceOptions) {
    this.#options = options;
    const { tracks, wirePid, hostPid, title } = options;
    tracks.process(wirePid, `wire${title}`, wirePid);
    tracks.process(hostPid, `host${title}`, hostPid);
    this.#host = new HostTracks({
      tracks,
      clock: this.#clock,
      wirePid,
      hostPid,
      up: this.#up,
      down: this.#down,
    });
  }

  /** Sets the session to draw. */
  attach(session: Session): void {
    this.#session = session;
  }

  /** The session has ended, and no host accepted it. */
  get isVain(): boolean {
    return !this.#welcome && this.#session?.ended !== undefined;
  }

  /** The description of this session in the file. */
  get about(): object {
    const { adapter, version, activity } = this.#welcome ?? {};
    const known = Number.isFinite(this.#clock.errorMs(this.#options.now()));
    return {
      adapter: adapter?.name,
      farlight: version,
      // Without the host's spans, the file has nothing of its clock.
      hostTells: activity === true,
      ...(known && {
        clockErrorMs: Math.max(this.#clock.worstErrorMs, this.#clock.errorMs(this.#options.now())),
        clockSamples: this.#samples,
      }),
      spansLost: this.#lost + this.#host.leftOut,
    };
  }

  now(): number {
    return this.#options.now();
  }

  called(name: string, start: number, about: unknown): void {
    const { label = '' } = (resourceOf(about) ?? {}) as { label?: string };
    this.#options.program.call(name, start, this.now(), label);
  }

  awaited(wait: Wait): (error?: Error) => void {
    return this.#options.program.wait(wait, this.now(), this.#options.now);
  }

  flushed({ start, commands, bytes }: SentFlush): void {
    const now = this.now();
    this.#options.program.flush(start, now, { commands, bytes });
    this.#options.program.objects(now, this.#session?.objects ?? 0);
  }

  onWelcome(welcome: Welcome): void {
    const { tracks, hostPid, title } = this.#options;
    this.#welcome = welcome;
    this.#welcomedAt = this.now();
    tracks.process(hostPid, `host${title}: ${welcome.adapter.name}`, hostPid);
    if (welcome.activity !== true) return;
    this.#session?.command(OPERATIONS.FarlightActivity.watch, [ALL_SPANS]);
    this.#ask();
  }

  onSend(frame: Uint8Array): void {
    const time = this.now();
    this.#sending ??= { time, bytes: 0, frames: 0 };
    this.#sending.bytes += frame.length;
    this.#sending.frames += 1;
    this.#count('up', frame.length, time);
    if (frame[0] === FRAME.part) return;
    this.#flushes += 1;
    this.#up.set(this.#flushes, this.#sending);
    this.#sending = undefined;
  }

  onFrame(frame: Uint8Array): void {
    this.#cameAt = this.now();
    this.#frames += 1;
    this.#down.set(this.#frames, { time: this.#cameAt, bytes: frame.length, frames: 1 });
    this.#count('down', frame.length, this.#cameAt);
  }

  onClose(): void {
    // The trace may outlive the session by far.
    if (this.#welcome) this.#session = undefined;
    this.finish();
  }

  activity({ spans, lost }: SpanReport): void {
    this.#lost += lost;
    for (const span of spans) {
      this.#bound(span);
      if (span.kind === SPAN.clock) this.#answered(span);
      else if (this.#waiting && this.#waiting.length < MOST_WAITING) this.#waiting.push(span);
      else this.#draw(span);
    }
    const now = this.now();
    if (now - this.#welcomedAt > WAITING_MS) this.finish();
    if (now - this.#askedAt > SAMPLE_MS) this.#ask();
  }

  /** Draws the spans that wait: the clocks will not be known any better. */
  finish(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const span of waiting) this.#host.draw(span, this.now());
  }

  #draw(span: Span): void {
    this.finish();
    this.#host.draw(span, this.now());
  }

  #ask(): void {
    this.#question += 1;
    this.#askedAt = this.now();
    this.#asked.clear();
    this.#asked.set(this.#question, this.#askedAt);
    this.#session?.command(OPERATIONS.FarlightActivity.readClock, [this.#question]);
  }

  #answered({ number, start: host }: Span): void {
    const asked = this.#asked.get(number);
    if (asked === undefined) return;
    this.#asked.delete(number);
    this.#samples += 1;
    this.#clock.wentUp(asked, host, this.#cameAt);
    this.#clock.cameDown(host, this.#cameAt, this.#cameAt);
    if (this.#samples < FIRST_SAMPLES) this.#ask();
    else if (this.#waiting) this.finish();
  }

  /** Each packet tells something of the clocks, too. */
  #bound({ kind, number, start, end }: Span): void {
    const passed =
      kind === SPAN.received ? this.#up.get(number) : kind === SPAN.sent ? this.#down.get(number) : undefined;
    if (!passed) return;
    if (kind === SPAN.received) this.#clock.wentUp(passed.time, end, this.#cameAt);
    else this.#clock.cameDown(start, passed.time, this.#cameAt);
  }

  #count(way: 'up' | 'down', bytes: number, time: number): void {
    this.#bytes[way] += bytes;
    const { tracks, wirePid } = this.#options;
    tracks.counter(wirePid, 'bytes', time, this.#bytes);
  }
}
