/**
 * How far two clocks may drift apart, as a fraction of the time that passes. The crystal of a computer is at
 * most 50 parts in a million wrong, and there are two computers.
 */
const DRIFT = 100e-6;

/** A bound from one message: the host's clock is ahead by at most, or at least, so much since that time. */
interface Bound {
  readonly ahead: number;
  readonly at: number;
}

/**
 * Converts times of the host's clock to the client's. A message arrives after it was sent. So each message
 * that the host received tells by how much its clock is ahead at most, and each message from the host tells
 * by how much at least. The truth lies between both, and half of their distance bounds the error. That is
 * half of the shortest way there plus the shortest way back, as the shortest round trip would show it (F.
 * Cristian, "Probabilistic clock synchronization", 1989). Because clocks drift, a bound loosens with time,
 * until a newer one is tighter.
 *
 * All times in milliseconds.
 */
export class ClockEstimate {
  #most: Bound | undefined;
  #least: Bound | undefined;
  #worst = 0;

  /** A message was sent at `sent`, and arrived at `host` by the host's clock. It is `now`. */
  wentUp(sent: number, host: number, now: number): void {
    const ahead = host - sent;
    if (!this.#most || ahead <= loosened(this.#most, now, 1)) this.#most = { ahead, at: now };
  }

  /** A message was sent at `host` by the host's clock, and arrived here at `came`. It is `now`. */
  cameDown(host: number, came: number, now: number): void {
    const ahead = host - came;
    if (!this.#least || ahead >= loosened(this.#least, now, -1)) this.#least = { ahead, at: now };
  }

  /** How wrong `toClient` may be at this time, in milliseconds. */
  errorMs(now: number): number {
    if (!this.#most || !this.#least) return Number.POSITIVE_INFINITY;
    return Math.max(0, loosened(this.#most, now, 1) - loosened(this.#least, now, -1)) / 2;
  }

  /** The largest possible error of all times that `toClient` returned, in milliseconds. */
  get worstErrorMs(): number {
    return this.#worst;
  }

  /**
   * Converts a time of the host's clock to this one, when it is `now`. Without a message each way it returns
   * the time unchanged.
   */
  toClient(host: number, now: number): number {
    if (!this.#most || !this.#least) return host;
    this.#worst = Math.max(this.#worst, this.errorMs(now));
    return host - (loosened(this.#most, now, 1) + loosened(this.#least, now, -1)) / 2;
  }
}

function loosened({ ahead, at }: Bound, now: number, direction: 1 | -1): number {
  return ahead + direction * Math.max(0, now - at) * DRIFT;
}
