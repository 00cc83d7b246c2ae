import type { Flow } from './flow.js';
import { type Line, LinkSchedule } from './link-schedule.js';
import { monotonicMs, PreciseAlarm } from './precise-alarm.js';

/**
 * How late the alarm rings on average, in milliseconds (measured on Linux). Lines are shorter by this, so
 * that bytes arrive on time.
 */
const LATE_MS = 0.08;

/**
 * Runs the schedules of a link's two lines in real time. It can freeze, with everything that is under way.
 */
export class LinkTime {
  readonly #alarm = new PreciseAlarm(() => this.#advance());
  readonly #schedules: { up: LinkSchedule<Flow>; down: LinkSchedule<Flow> };
  /** Other actions at a time of the link. There are few, so they are not sorted. */
  #actions: { at: number; act: () => void }[] = [];
  /** How long the link was frozen in total, and since when it is frozen now, if it is. */
  #frozenMs = 0;
  #frozenAt: number | undefined;

  constructor(up: Line, down: Line) {
    this.#schedules = {
      up: new LinkSchedule(shortened(up), Math.random),
      down: new LinkSchedule(shortened(down), Math.random),
    };
  }

  get frozen(): boolean {
    return this.#frozenAt !== undefined;
  }

  /** Sends bytes of a flow over the line of its direction. The flow is notified when they have passed. */
  send(flow: Flow, bytes: number): void {
    this.#schedules[flow.direction].add(flow, bytes, this.#now());
    this.#setAlarm();
  }

  /** Sends nothing more of a flow. */
  remove(flow: Flow): void {
    this.#schedules[flow.direction].remove(flow);
  }

  /** Calls `act` after this many milliseconds of the link's time. */
  after(ms: number, act: () => void): void {
    this.#actions.push({ at: this.#now() + ms, act });
    this.#setAlarm();
  }

  freeze(): void {
    this.#frozenAt ??= monotonicMs();
  }

  thaw(): void {
    if (this.#frozenAt === undefined) return;
    this.#frozenMs += monotonicMs() - this.#frozenAt;
    this.#frozenAt = undefined;
    this.#setAlarm();
  }

  close(): Promise<void> {
    return this.#alarm.close();
  }

  /** Milliseconds of the link's time, which stands still while the link is frozen. */
  #now(): number {
    return (this.#frozenAt ?? monotonicMs()) - this.#frozenMs;
  }

  #advance(): void {
    if (this.frozen) return;
    const now = this.#now();
    for (const schedule of [this.#schedules.up, this.#schedules.down]) {
      for (let arrival = schedule.take(now); arrival; arrival = schedule.take(now))
        arrival.flow.pass(arrival.bytes);
    }
    const due = this.#actions.filter(({ at }) => at <= now);
    if (due.length > 0) {
      this.#actions = this.#actions.filter(({ at }) => at > now);
      for (const { act } of due) act();
    }
    this.#setAlarm();
  }

  #setAlarm(): void {
    if (this.frozen) return;
    const { up, down } = this.#schedules;
    let next = Math.min(up.next() ?? Infinity, down.next() ?? Infinity);
    for (const { at } of this.#actions) next = Math.min(next, at);
    if (next !== Infinity) this.#alarm.set(next + this.#frozenMs);
  }
}

function shortened(line: Line): Line {
  return { ...line, delayMs: Math.max(0, line.delayMs - LATE_MS) };
}
