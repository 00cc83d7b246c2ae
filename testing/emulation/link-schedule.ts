/** How one direction of a link treats the bytes that pass. */
export interface Line {
  /** How long a byte is under way after it has left, in milliseconds. */
  delayMs: number;
  /** How much that varies: each piece is early or late by up to this many milliseconds. */
  jitterMs: number;
  /** The line's bandwidth in megabits (1,000,000 bits) a second; undefined: no limit. */
  mbit: number | undefined;
}

/** Some bytes of a flow that arrive at the far end together. */
export interface Arrival<Flow> {
  flow: Flow;
  bytes: number;
  /** The time of arrival, in milliseconds of the schedule's clock. */
  at: number;
}

/**
 * How much one turn may send, in milliseconds of the line. Its bounds in bytes are a packet, and a socket's
 * read.
 */
const TURN_MS = 0.5;
const LEAST_TURN = 1_500;
const MOST_TURN = 64 * 1024;
/**
 * How much may wait in front of the line, in milliseconds: enough that a sender that gets no CPU leaves no
 * gap.
 */
const QUEUE_MS = 50;
const LEAST_QUEUE = 16 * 1024;
/** How much a connection may have under way if no bandwidth bounds it. */
const WINDOW_WITHOUT_LIMIT = 64 * 1024 * 1024;

/**
 * Computes when bytes arrive at the other end of a line that several flows share.
 *
 * The line sends one piece at a time, at its bandwidth. Flows with waiting bytes take turns of the same size,
 * so that each gets the same share. A piece arrives a delay after its last bit was sent. Pieces never
 * overtake each other, whatever the jitter.
 *
 * It knows neither clock nor sockets: times are arguments, in milliseconds, and never decrease. Pieces that a
 * late call missed are sent at the time when they should have been, so that a late wake costs the line
 * nothing.
 */
export class LinkSchedule<Flow> {
  readonly #line: Line;
  readonly #random: () => number;
  readonly #bytesPerMs: number;
  readonly #turn: number;
  /** Flows with bytes that wait for the line, with how many, in the order of their turns. */
  readonly #waiting = new Map<Flow, number>();
  readonly #underWay: Arrival<Flow>[] = [];
  /** Where #underWay begins. Everything before it has arrived. */
  #first = 0;
  /** When the line has finished the last piece that it took. */
  #free = 0;
  #lastArrival = 0;

  /** `random` returns numbers from 0 to 1, like Math.random; the jitter comes from it. */
  constructor(line: Line, random: () => number) {
    this.#line = line;
    this.#random = random;
    this.#bytesPerMs = bytesPerMs(line);
    this.#turn =
      line.mbit === undefined
        ? Infinity
        : Math.min(MOST_TURN, Math.max(LEAST_TURN, Math.round(this.#bytesPerMs * TURN_MS)));
  }

  /** More bytes of a flow reach the line. */
  add(flow: Flow, bytes: number, now: number): void {
    this.#send(now);
    if (this.#waiting.size === 0) this.#free = Math.max(this.#free, now);
    this.#waiting.set(flow, (this.#waiting.get(flow) ?? 0) + bytes);
    this.#send(now);
  }

  /** Takes the pieces that have arrived by now, the earliest first; undefined if there are no more. */
  take(now: number): Arrival<Flow> | undefined {
    this.#send(now);
    const arrival = this.#underWay[this.#first];
    if (arrival === undefined || arrival.at > now) return undefined;
    this.#first += 1;
    // Taken pieces are dropped in large steps: shifting them one by one costs as much as all that follow.
    if (this.#first >= 256 && this.#first * 2 >= this.#underWay.length) {
      this.#underWay.splice(0, this.#first);
      this.#first = 0;
    }
    return arrival;
  }

  /** When to call `take` next; undefined while nothing is on its way. */
  next(): number | undefined {
    const arrival = this.#underWay[this.#first];
    if (arrival) return arrival.at;
    return this.#waiting.size > 0 ? this.#free : undefined;
  }

  /** Removes a flow: its waiting bytes are not sent. Bytes under way still arrive. */
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
      // Deleted and set again, a flow is the last one in the map's order.
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
 * How many bytes of a flow a link may hold before it stops reading: the bytes under way on a full line, and a
 * small queue in front of it. With less the line would idle; with more the bytes would only wait.
 */
export function windowBytes(line: Line): number {
  if (line.mbit === undefined) return WINDOW_WITHOUT_LIMIT;
  const underWay = bytesPerMs(line) * (line.delayMs + line.jitterMs);
  return Math.ceil(underWay + Math.max(LEAST_QUEUE, bytesPerMs(line) * QUEUE_MS));
}

function bytesPerMs({ mbit }: Line): number {
  return mbit === undefined ? Infinity : (mbit * 1_000_000) / 8 / 1000;
}
