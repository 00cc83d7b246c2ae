/** What one direction of a link does to what passes it. */
export interface Line {
  /** How long a byte is under way once it has left, in milliseconds. */
  delayMs: number;
  /** By how much that varies: each piece is early or late by up to so many milliseconds. */
  jitterMs: number;
  /** The line's bandwidth in megabits (1,000,000 bits) a second; undefined: without a limit. */
  mbit: number | undefined;
}

/** Some bytes of a flow that arrive at the far end together. */
export interface Arrival<Flow> {
  flow: Flow;
  bytes: number;
  /** When, in milliseconds of the clock that the schedule is given. */
  at: number;
}

/** What one turn may send, in milliseconds of the line, and its bounds in bytes: a packet, and a socket's read. */
const TURN_MS = 0.5;
const LEAST_TURN = 1_500;
const MOST_TURN = 64 * 1024;
/** What may wait in front of the line, in milliseconds of it: long enough that a sender that gets no processor leaves no gap. */
const QUEUE_MS = 50;
const LEAST_QUEUE = 16 * 1024;
/** What a connection may have under way where no bandwidth bounds it. */
const WINDOW_WITHOUT_LIMIT = 64 * 1024 * 1024;

/**
 * When bytes arrive at the other end of a line that several flows share.
 *
 * The line sends one piece at a time, at its bandwidth; flows that have bytes waiting take turns of the same
 * size, so that each gets the same share. A piece arrives a delay after its last bit was sent. Nothing overtakes
 * what was sent before it, whatever the jitter.
 *
 * Knows neither clock nor sockets: times are arguments, in milliseconds, and never decrease. Pieces that a late
 * caller missed are sent when they would have been, so that a late wake costs the line nothing.
 */
export class LinkSchedule<Flow> {
  readonly #line: Line;
  readonly #random: () => number;
  readonly #bytesPerMs: number;
  readonly #turn: number;
  /** The flows that have bytes waiting for the line, with how many, in the order of their turns. */
  readonly #waiting = new Map<Flow, number>();
  readonly #underWay: Arrival<Flow>[] = [];
  /** Where #underWay begins; what is before has arrived. */
  #first = 0;
  /** When the line has sent the last piece that it took. */
  #free = 0;
  #lastArrival = 0;

  /** `random` gives numbers from 0 to 1, as Math.random does; the jitter comes from it. */
  constructor(line: Line, random: () => number) {
    this.#line = line;
    this.#random = random;
    this.#bytesPerMs = bytesPerMs(line);
    this.#turn =
      line.mbit === undefined
        ? Infinity
        : Math.min(MOST_TURN, Math.max(LEAST_TURN, Math.round(this.#bytesPerMs * TURN_MS)));
  }

  /** So many more bytes of a flow come to the line. */
  add(flow: Flow, bytes: number, now: number): void {
    this.#send(now);
    if (this.#waiting.size === 0) this.#free = Math.max(this.#free, now);
    this.#waiting.set(flow, (this.#waiting.get(flow) ?? 0) + bytes);
    this.#send(now);
  }

  /** Takes what has arrived by now, the earliest first; undefined where there is nothing more. */
  take(now: number): Arrival<Flow> | undefined {
    this.#send(now);
    const arrival = this.#underWay[this.#first];
    if (arrival === undefined || arrival.at > now) return undefined;
    this.#first += 1;
    // What was taken is dropped in large steps, for shifting one at a time costs as much as all that follow.
    if (this.#first >= 256 && this.#first * 2 >= this.#underWay.length) {
      this.#underWay.splice(0, this.#first);
      this.#first = 0;
    }
    return arrival;
  }

  /** When `take` is to be called next; undefined while nothing is on its way. */
  next(): number | undefined {
    const arrival = this.#underWay[this.#first];
    if (arrival) return arrival.at;
    return this.#waiting.size > 0 ? this.#free : undefined;
  }

  /** A flow is gone: what waits is not sent. What is under way still arrives. */
  remove(flow: Flow): void {
    this.#waiting.delete(flow);
  }

  /** Lets the line take every piece that it would have begun to send by now. */
  #send(now: number): void {
    while (this.#free <= now) {
      const [turn] = this.#waiting;
      if (turn === undefined) return;
      const [flow, waiting] = turn;
      const bytes = Math.min(waiting, this.#turn);
      // Deleted and set again, a flow is the last in the map's order.
      this.#waiting.delete(flow);
      if (waiting > bytes) this.#waiting.set(flow, waiting - bytes);
      this.#free += bytes / this.#bytesPerMs;
      this.#lastArrival = Math.max(this.#lastArrival, this.#free + this.#delay());
      this.#underWay.push({ flow, bytes, at: this.#lastArrival });
    }
  }

  #delay(): number {
    const { delayMs, jitterMs } = this.#line;
    return jitterMs === 0 ? delayMs : Math.max(0, delayMs + (2 * this.#random() - 1) * jitterMs);
  }
}

/**
 * How many bytes of a flow a link may hold before it stops to read more: what is under way when the line is full,
 * and a small queue in front of it. Less would leave the line idle; more would only wait.
 */
export function windowBytes(line: Line): number {
  if (line.mbit === undefined) return WINDOW_WITHOUT_LIMIT;
  const underWay = bytesPerMs(line) * (line.delayMs + line.jitterMs);
  return Math.ceil(underWay + Math.max(LEAST_QUEUE, bytesPerMs(line) * QUEUE_MS));
}

function bytesPerMs({ mbit }: Line): number {
  return mbit === undefined ? Infinity : (mbit * 1_000_000) / 8 / 1000;
}
