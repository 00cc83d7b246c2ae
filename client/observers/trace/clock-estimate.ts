/**
 * By how much two clocks may drift apart, as a part of the time that passes: twice the 50 parts in a million to which
 * the crystals of computers are made.
 */
const DRIFT = 100e-6;

/** What one message says of by how much the host's clock is ahead: at most, or at least, so much; and since when. */
interface Bound {
  readonly ahead: number;
  readonly at: number;
}

/**
 * What the host's clock shows, by the client's. A message arrives after it was sent: so each one that the host got
 * says by how much its clock is ahead at most, and each one that came from there says by how much at least. Between
 * the two lies the truth, and half of their distance bounds the error: half of the shortest way there and the shortest
 * way back, which is what the shortest round trip would show (F. Cristian, "Probabilistic clock synchronization",
 * 1989) if both were of one. A bound loosens as time passes, because of the drift, until a newer one is tighter.
 *
 * All times in milliseconds.
 */
export class ClockEstimate {
  #most: Bound | undefined;
  #least: Bound | undefined;
  #worst = 0;

  /** A message went out at `sent`, and was there at `host` by the host's clock. It is `now`. */
  wentUp(sent: number, host: number, now: number): void {
    const ahead = host - sent;
    if (!this.#most || ahead <= loosened(this.#most, now, 1)) this.#most = { ahead, at: now };
  }

  /** A message left the host at `host` by its clock, and was here at `came`. It is `now`. */
  cameDown(host: number, came: number, now: number): void {
    const ahead = host - came;
    if (!this.#least || ahead >= loosened(this.#least, now, -1)) this.#least = { ahead, at: now };
  }

  /** By how much `toClient` may be wrong at this time of the client's, in milliseconds. */
  errorMs(now: number): number {
    if (!this.#most || !this.#least) return Number.POSITIVE_INFINITY;
    return Math.max(0, loosened(this.#most, now, 1) - loosened(this.#least, now, -1)) / 2;
  }

  /** The largest error that any time may have had that `toClient` gave, in milliseconds. */
  get worstErrorMs(): number {
    return this.#worst;
  }

  /** A time of the host's, by the client's clock, where it is `now`. Before a message each way it is taken as it is. */
  toClient(host: number, now: number): number {
    if (!this.#most || !this.#least) return host;
    this.#worst = Math.max(this.#worst, this.errorMs(now));
    return host - (loosened(this.#most, now, 1) + loosened(this.#least, now, -1)) / 2;
  }
}

function loosened({ ahead, at }: Bound, now: number, direction: 1 | -1): number {
  return ahead + direction * Math.max(0, now - at) * DRIFT;
}
