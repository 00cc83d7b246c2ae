/**
 * Fewer bytes are no sample: processing them takes longer than the link does, and a link that is shaped lets tens
 * of kilobytes through in one burst.
 */
export const SAMPLE_BYTES: number = 128 << 10;
/** With no more than this under way the link counts as idle. */
const IDLE_BYTES = 16 << 10;
/** For how long a sample counts, in milliseconds. The last one counts until there is another. */
const WINDOW_MS = 10_000;
/** A round trip that was measured too long must not make an interval nothing: so much of it stays at least. */
const LEAST_SHARE = 1 / 16;
/** Below this the clock and the event loop are measured, in milliseconds. */
const LEAST_MS = 0.1;

interface Sent {
  bytes: number;
  at: number;
  /** What was delivered when it was sent, when that was known, and when the last of that was sent. */
  delivered: number;
  deliveredAt: number;
  deliveredSentAt: number;
  /** Nothing was under way, so that the interval up to its acknowledgement has a round trip in it. */
  first: boolean;
  /** The sender had paused while something was under way: the interval may have that pause in it. */
  limited: boolean;
}

/**
 * Estimates a link's bandwidth from what is acknowledged over time, as BBR does (delivery rate estimation): a
 * sample is what was delivered between two acknowledgements, over the time that this took or that it was sent
 * in, whichever is longer. The estimate is the largest sample of the last 10 seconds, for a peer that is busy
 * makes samples too low and nothing makes them much too high. Samples that the sender's own pauses are in can only
 * raise it.
 *
 * All times are in milliseconds of one clock, bytes are those on the wire.
 */
export class DeliveryRate {
  readonly #sent: Sent[] = [];
  #underWay = 0;
  #delivered = 0;
  #deliveredAt = 0;
  #deliveredSentAt = 0;
  #limited = false;
  #roundTrip: number | undefined;
  /** Falling in rate, rising in time. */
  readonly #samples: { at: number; rate: number }[] = [];

  /** In bytes per millisecond; undefined before the first sample. */
  get bytesPerMs(): number | undefined {
    return this.#samples[0]?.rate;
  }

  /** No sample was taken yet, and one is under way. */
  get unsure(): boolean {
    return this.bytesPerMs === undefined && this.#underWay >= SAMPLE_BYTES;
  }

  /** What the estimate can be at most while there is none: the first frame under way has not arrived yet. */
  most(now: number): number | undefined {
    const [first] = this.#sent;
    if (!first || !this.unsure) return undefined;
    const elapsed = now - first.at - (this.#roundTrip ?? 0);
    return elapsed > 0 ? first.bytes / elapsed : undefined;
  }

  /** How long what is under way still takes to leave, in milliseconds, as far as that is known. */
  queueMs(now: number): number {
    const [first] = this.#sent;
    if (!first || this.bytesPerMs === undefined) return 0;
    const gone = now - Math.max(first.at, this.#deliveredAt);
    return Math.max(0, this.#underWay / this.bytesPerMs - gone - (this.#roundTrip ?? 0));
  }

  /** Whether what is sent now finds the link idle. */
  get idle(): boolean {
    return this.#underWay <= IDLE_BYTES;
  }

  /** The shortest time that a small message took there and back. */
  roundTrip(ms: number): void {
    this.#roundTrip = Math.min(ms, this.#roundTrip ?? ms);
  }

  /** Something was sent; `paused` where it could have been earlier, had there been anything to send. */
  sent(now: number, bytes: number, paused: boolean): void {
    const first = this.idle;
    if (first) {
      this.#deliveredAt = now;
      this.#deliveredSentAt = now;
    }
    this.#limited = !first && (this.#limited || paused);
    this.#sent.push({
      bytes,
      at: now,
      delivered: this.#delivered,
      deliveredAt: this.#deliveredAt,
      deliveredSentAt: this.#deliveredSentAt,
      first,
      limited: this.#limited,
    });
    this.#underWay += bytes;
  }

  /** The peer has taken the first `count` of what was sent and not acknowledged. */
  acknowledged(now: number, count: number): void {
    const taken = this.#sent.splice(0, count);
    const last = taken.at(-1);
    if (!last) return;
    for (const { bytes } of taken) {
      this.#delivered += bytes;
      this.#underWay -= bytes;
    }
    this.#deliveredAt = now;
    this.#deliveredSentAt = last.at;
    const bytes = this.#delivered - last.delivered;
    const acknowledging = now - last.deliveredAt;
    const trip = last.first ? (this.#roundTrip ?? 0) : 0;
    const corrected = Math.max(acknowledging - trip, acknowledging * LEAST_SHARE);
    const interval = Math.max(corrected, last.at - last.deliveredSentAt, LEAST_MS);
    if (bytes >= SAMPLE_BYTES) this.#take(now, bytes / interval, last.limited);
  }

  #take(now: number, rate: number, limited: boolean): void {
    if (limited && rate <= (this.bytesPerMs ?? Number.POSITIVE_INFINITY)) return;
    while ((this.#samples.at(-1)?.rate ?? Number.POSITIVE_INFINITY) <= rate) this.#samples.pop();
    this.#samples.push({ at: now, rate });
    while (this.#samples.length > 1 && now - (this.#samples[0]?.at ?? now) > WINDOW_MS) this.#samples.shift();
  }
}
